"""Laws of the history: what an edit looks like, how long ago it was, and that it stays small."""

from __future__ import annotations

import pytest

from fimble_server.document.buffers import AppliedEdit
from fimble_server.document.history import (
    EditKind,
    History,
    VerdictKind,
    note_edits,
    note_verdict,
)
from fimble_server.document.positions import CharOffset


def _edit(removed: str, inserted: str, start: int = 0) -> AppliedEdit:
    return AppliedEdit(start=CharOffset(start), removed=removed, inserted=inserted)


def _kinds(*edits: AppliedEdit) -> list[EditKind]:
    history = History()
    for now_ms, edit in enumerate(edits):
        history = note_edits(history, [edit], float(now_ms))
    return [edit.kind for edit in history.edits]


@pytest.mark.parametrize(
    ("removed", "inserted", "kind"),
    [
        ("", "a", EditKind.TYPED),
        ("", "😀", EditKind.TYPED),
        ("", "()", EditKind.TYPED),
        ("", "\r\n        ", EditKind.TYPED),
        ("", "    ", EditKind.TYPED),
        ("", "return x", EditKind.PASTED),
        ("a", "", EditKind.DELETED),
        ("old", "new", EditKind.REPLACED),
    ],
)
def test_an_edit_is_named_after_what_it_looks_like(
    removed: str, inserted: str, kind: EditKind
) -> None:
    assert _kinds(_edit(removed, inserted)) == [kind]


def test_restoring_what_just_went_is_an_undo() -> None:
    assert _kinds(_edit("word", ""), _edit("", "word")) == [EditKind.DELETED, EditKind.UNDONE]


def test_taking_back_a_paste_is_an_undo_and_taking_back_a_key_is_not() -> None:
    assert _kinds(_edit("", "pasted"), _edit("pasted", ""))[-1] is EditKind.UNDONE
    assert _kinds(_edit("", "a"), _edit("a", ""))[-1] is EditKind.DELETED


def test_an_edit_that_changes_nothing_is_none() -> None:
    assert _kinds(_edit("same", "same")) == []


def test_pauses_and_rhythm_are_told_in_milliseconds() -> None:
    history = History()
    assert history.pause_ms(5.0) is None
    for now_ms in (100.0, 220.0, 300.0):
        history = note_edits(history, [_edit("", "a")], now_ms)
    assert history.pause_ms(1_300.0) == 1_000.0
    assert history.gaps_ms(5) == (120.0, 80.0)


def test_a_history_stays_small() -> None:
    history = History()
    for now_ms in range(200):
        history = note_edits(history, [_edit("", "x" * 10_000)], float(now_ms))
    assert len(history.edits) < 50
    assert all(edit.inserted is None for edit in history.edits)


def test_no_text_of_the_user_shows_in_a_history() -> None:
    history = note_edits(History(), [_edit("secret", "other")], 1.0)
    assert "secret" not in repr(history)
    assert "other" not in repr(history)


def test_the_last_verdict_stays_until_the_next() -> None:
    history = note_verdict(History(), VerdictKind.ACCEPTED, CharOffset(3), 7.0)
    history = note_edits(history, [_edit("", "a")], 8.0)
    assert history.last_verdict is not None
    assert history.last_verdict.kind is VerdictKind.ACCEPTED
