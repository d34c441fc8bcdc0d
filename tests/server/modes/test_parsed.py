"""Parsing on from the value before gives the tree of the text, wherever the edit was."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_server.completion.idle_mending import mend_while_idle
from fimble_server.document.languages import BlockKind, language_for_id
from fimble_server.document.parsed import Parsed, mend, parse
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


_LONG = 'def f(x):\n    """Say."""\n    return [x, "a"]\n\n\n' * 2_000


def test_an_open_quote_in_a_long_file_costs_no_whole_parse() -> None:
    """Where a key has no time to mend the tree the old one is moved along, and mended later."""
    language = language_for_id("python")
    parsed = parse(language, _LONG)
    broken = parse(language, '"""' + _LONG, parsed)
    assert broken.age_edits == 1
    assert broken.mending is not None
    assert broken.tree is not None
    assert broken.tree.root_node.end_byte == len(broken.source)
    n_slices, mended = 0, broken
    while mended.mending is not None:
        mended, n_slices = mend(mended, 2.0), n_slices + 1
    assert n_slices > 1
    assert mended.age_edits == 0
    assert mended.tree is not None
    assert mended.tree.root_node.end_byte == len(mended.source)
    assert mend(mended, 2.0) is mended


def test_a_long_file_opens_without_its_tree_and_has_it_in_the_end() -> None:
    """With a budget the first parse is left half done; facts come from the text until then."""
    parsed = parse(language_for_id("python"), _LONG, first_budget_ms=0.1)
    assert parsed.tree is None
    assert inspect(parsed, _LONG.index("return")).block.kind is BlockKind.FUNCTION
    while parsed.mending is not None:
        parsed = mend(parsed, 5.0)
    assert parsed.tree is not None
    assert not parsed.tree.root_node.has_error


def test_a_scanner_that_reads_the_whole_file_at_every_sign_is_stopped() -> None:
    """An open bracket in a long Lua file costs some attempts; the old tree is moved along."""
    language = language_for_id("lua")
    body = "local t = {}\nfunction t:f(x)\n  self.a[x] = 1\nend\n" * 1_000
    parsed = parse(language, body)
    at = body.index("self.a[x]", len(body) // 3)
    for typed in ("xs", "xs[", "xs[i", "xs["):
        parsed = parse(language, body[:at] + typed + "\n" + body[at:], parsed)
        while parsed.mending is not None:
            parsed = mend(parsed, 2.0)
    assert parsed.tree is not None
    assert parsed.tree.root_node.end_byte == len(parsed.source)


class _Holder:
    """Says when the work is done."""

    def __init__(self) -> None:
        self.is_done = asyncio.Event()
        self.mending_timer: asyncio.TimerHandle | None = None
        self._parsed: Parsed | None = None

    @property
    def parsed(self) -> Parsed | None:
        return self._parsed

    @parsed.setter
    def parsed(self, parsed: Parsed | None) -> None:
        self._parsed = parsed
        if parsed is not None and parsed.mending is None:
            self.is_done.set()


def test_the_tree_is_mended_while_nobody_types() -> None:
    """Some edits old, it is mended slice by slice; the next key takes the work off the loop."""
    language, owner = language_for_id("python"), _Holder()
    owner.parsed = parse(language, _LONG)
    for n_signs in range(1, 10):
        owner.parsed = parse(language, '"""x' + "#" * n_signs + _LONG, owner.parsed)
    assert owner.parsed.age_edits > 0

    async def rest() -> None:
        owner.is_done.clear()
        mend_while_idle(owner)
        first = owner.mending_timer
        assert first is not None
        mend_while_idle(owner)
        assert first.cancelled()
        async with asyncio.timeout(30):
            await owner.is_done.wait()

    asyncio.run(rest())
    assert owner.parsed.mending is None
    assert owner.parsed.age_edits == 0


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
