"""Recent edits as they are now, and files looked at lately: never text that is gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_server.context.chunks import words_of
from fimble_server.context.diagnosed import Diagnostic, names_in_diagnostics
from fimble_server.context.recent import (
    WordedChunk,
    edited_pieces,
    edited_places,
    viewed_pieces,
)
from fimble_server.document.buffers import Buffer, TextEdit, apply_changes
from fimble_server.document.history import History, note_edits

_CHANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8), st.sampled_from(["", "XY", "Z\nW", "Q"])),
    max_size=12,
)


def _edited(text: str, changes: list[tuple[int, int, str]]) -> tuple[str, History]:
    """A text after edits, each `(start, characters removed, inserted)`, and its history."""
    buffer, history = Buffer(uri="a", language_id="python", version=0, text=text), History()
    for start, n_removed, inserted in changes:
        first = min(start, len(buffer.text))
        edit = TextEdit(start=first, end=min(first + n_removed, len(buffer.text)), text=inserted)
        edited = apply_changes(buffer, [edit], buffer.version + 1)
        buffer, history = edited.buffer, note_edits(history, edited.edits, now_ms=0.0)
    return buffer.text, history


@given(_CHANGES)
def test_places_hold_what_was_inserted_and_is_still_there(
    changes: list[tuple[int, int, str]],
) -> None:
    """The old text has small letters only: capitals are found exactly in the places."""
    text, history = _edited("abcdefgh\n" * 6, changes)
    inside: set[int] = set()
    for start, end in edited_places(history.edits):
        assert 0 <= start < end <= len(text)
        inside.update(range(start, end))
    capitals = {index for index, char in enumerate(text) if char.isupper()}
    assert capitals <= inside
    assert all(text[index].isupper() or text[index] == "\n" for index in inside)


def test_a_piece_is_the_text_as_it_is_now_and_not_as_it_was_before_deletion() -> None:
    before = "def price(item):\n    return item.secret_price\n\n\ndef other():\n    return 1\n"
    at = before.index("item.secret_price")
    text, history = _edited(before, [(at, len("item.secret_price"), "item.net_total")])
    (piece,) = edited_pieces("shop.py", text, history.edits, frozenset(words_of("net_total item")))
    assert "item.net_total" in piece.text
    assert "secret_price" not in piece.text
    assert piece.text.strip("\n") in text
    assert piece.source == "recent-edits"
    gone, history = _edited(text, [(text.index("def price"), 40, "")])
    assert edited_pieces("shop.py", gone, history.edits, frozenset(words_of("price item"))) == []


def test_of_a_file_looked_at_the_likest_chunks_are_wanted() -> None:
    chunks = [
        WordedChunk(text, frozenset(words_of(text)))
        for text in ("quartz = lantern(velvet)\n", "anchor = harbour()\n", "quartz = 1\n")
    ]
    found = viewed_pieces("a.py", chunks, frozenset(words_of("quartz lantern")), most=1)
    assert [(piece.text, piece.source) for piece in found] == [(chunks[0].text, "viewed-files")]


def test_names_come_from_the_nearest_diagnostics() -> None:
    said = [
        Diagnostic(40, 'Cannot find name "far_away"'),
        Diagnostic(9, "Property 'netTotal' does not exist on type 'Cart'."),
        Diagnostic(5, "undefined: shop.OpenCart"),
    ]
    assert names_in_diagnostics(said, 6) == ("shop", "OpenCart", "netTotal", "Cart")
    assert names_in_diagnostics(said, 100) == ()
