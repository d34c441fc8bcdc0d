"""Parsing on from the value before gives the tree of the text, wherever the edit was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import parse
from fimble_server.document.syntax import Above, inspect

_PIECES = st.sampled_from(
    ["def f(x):\n", "    return x\n", "if x:\n", "\n", "😀", "é", '"', "(", ")", " ", "x", "#"]
)
_TEXTS = st.lists(_PIECES, max_size=20).map("".join)


@given(
    texts=st.lists(_TEXTS, min_size=2, max_size=5), language_id=st.sampled_from(["python", "go"])
)
@settings(max_examples=150, deadline=None)
def test_parsing_on_equals_parsing_anew(texts: list[str], language_id: str) -> None:
    """A chain of edits ends in the tree that a fresh parse of the last text gives."""
    language = language_for_id(language_id)
    parsed = parse(language, texts[0])
    for text in texts[1:]:
        parsed = parse(language, text, parsed)
    fresh = parse(language, texts[-1])
    assert parsed.tree is not None
    assert fresh.tree is not None
    if not fresh.tree.root_node.has_error and not parsed.age_edits:
        assert str(parsed.tree.root_node) == str(fresh.tree.root_node)
    assert parsed.tree.root_node.end_byte == len(texts[-1].encode())


def test_a_value_handed_out_never_changes() -> None:
    """The old tree still describes the old text after the new text is parsed on from it."""
    language = language_for_id("python")
    old = parse(language, "x = 1\n")
    assert old.tree is not None
    before = str(old.tree.root_node), old.tree.root_node.end_byte
    parse(language, "def f():\n    pass\nx = 1\n", old)
    assert (str(old.tree.root_node), old.tree.root_node.end_byte) == before


def test_the_same_text_is_the_same_value() -> None:
    """Nothing is parsed when nothing changed; another language starts anew."""
    python, go = language_for_id("python"), language_for_id("go")
    parsed = parse(python, "x")
    assert parse(python, "x", parsed) is parsed
    assert parse(go, "x", parsed).language is go


def test_offsets_count_characters_and_bytes() -> None:
    """In `"😀x"` the `x` is character 1 and byte 4; half a surrogate pair does not stop us."""
    parsed = parse(language_for_id("python"), "😀x\ud83d")
    assert [parsed.byte_offset(n) for n in (0, 1, 2)] == [0, 4, 5]
    assert [parsed.char_offset(n) for n in (0, 4, 5)] == [0, 1, 2]


def test_an_open_quote_in_a_long_file_costs_no_whole_parse() -> None:
    """Where mending takes too long the old tree is moved along, and is mended in the end."""
    language = language_for_id("python")
    body = 'def f(x):\n    """Say."""\n    return [x, "a"]\n\n\n' * 500
    parsed = parse(language, body)
    broken = parse(language, '"""' + body, parsed)
    assert broken.age_edits == 1
    # What takes more steps than a key may is done some keys later.
    mended = broken
    for n_keys in range(2 * 41):
        mended = parse(language, body + "\n" * (1 + n_keys % 2), mended)
        if (
            mended.age_edits == 0
            and mended.tree is not None
            and not mended.tree.root_node.has_error
        ):
            break
    assert mended.tree is not None
    assert mended.age_edits == 0
    assert not mended.tree.root_node.has_error


def test_the_facts_at_a_cursor() -> None:
    """Strings, brackets and cut words are seen in characters, behind an emoji."""
    text = 'print(len("😀"))\n'
    facts = inspect(parse(language_for_id("python"), text), text.index("😀") + 1)
    assert facts.inside is not None
    assert facts.inside.opener == '"'
    assert (facts.open_brackets, facts.n_closed_right) == ("((", 2)
    assert inspect(parse(language_for_id("python"), "foo"), 1).is_word_cut
    below = inspect(parse(language_for_id("python"), "# a\n"), 4)
    assert below.above is Above.COMMENT
