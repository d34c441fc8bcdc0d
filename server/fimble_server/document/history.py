"""What lately happened to one buffer: edits, and what became of suggestions.

Owns an immutable, bounded record. Never reads a clock: times are handed in. The text of edits
is kept for as long as it takes to see them undone, and never shown.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from fimble_server.document.buffers import AppliedEdit
from fimble_server.document.positions import CharOffset

__all__ = [
    "Edit",
    "EditKind",
    "History",
    "Verdict",
    "VerdictKind",
    "note_edits",
    "note_verdict",
]

_MAX_EDITS = 32
_MAX_KEPT_CHARS = 2_000
# A key inserts one character, or a line end with its indentation, or a pair of brackets. More at
# once was pasted, completed or written by a tool.
_MAX_TYPED_CHARS = 2


class EditKind(enum.Enum):
    """How an edit looks. TYPED is one key, PASTED more than a key can insert."""

    TYPED = "typed"
    PASTED = "pasted"
    DELETED = "deleted"
    REPLACED = "replaced"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of the past. `end` is where the inserted text ended, in characters, then.

    `removed` and `inserted` are None where they were too long to be kept.
    """

    kind: EditKind
    start: CharOffset
    end: CharOffset
    time_ms: float
    removed: str | None = field(repr=False)
    inserted: str | None = field(repr=False)
    n_removed_chars: int = 0


class VerdictKind(enum.Enum):
    """What the user did with a suggestion. No client says that one was refused: one that was
    taken and at once deleted or undone was."""

    ACCEPTED = "accepted"
    PARTIALLY_ACCEPTED = "partially_accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a suggestion that stood at `offset`, and when."""

    kind: VerdictKind
    offset: CharOffset
    time_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The last edits of a buffer, oldest first, and the last verdict on a suggestion in it."""

    edits: tuple[Edit, ...] = ()
    last_verdict: Verdict | None = None

    @property
    def last_edit(self) -> Edit | None:
        """The newest edit."""
        return self.edits[-1] if self.edits else None

    def pause_ms(self, now_ms: float) -> float | None:
        """How long nothing was edited; None where nothing ever was."""
        return None if self.last_edit is None else max(0.0, now_ms - self.last_edit.time_ms)

    def gaps_ms(self, n_last: int) -> tuple[float, ...]:
        """The times between the last edits, oldest first: the rhythm of the typing."""
        times = [edit.time_ms for edit in self.edits[-n_last - 1 :]]
        return tuple(later - earlier for earlier, later in itertools.pairwise(times))


def note_edits(history: History, edits: Sequence[AppliedEdit], now_ms: float) -> History:
    """The history after the edits of one change notification, which share one time.

    Edits that change nothing are left out.
    """
    for edit in edits:
        if edit.removed == edit.inserted:
            continue
        noted = Edit(
            kind=_kind_of(edit, history.last_edit),
            start=edit.start,
            end=CharOffset(edit.start + len(edit.inserted)),
            time_ms=now_ms,
            removed=_kept(edit.removed),
            inserted=_kept(edit.inserted),
            n_removed_chars=len(edit.removed),
        )
        verdict = history.last_verdict
        if verdict is not None and _takes_back_suggestion(noted, history):
            verdict = dataclasses.replace(verdict, kind=VerdictKind.REJECTED, time_ms=now_ms)
        history = History(edits=(*history.edits, noted)[-_MAX_EDITS:], last_verdict=verdict)
    return history


def note_verdict(history: History, kind: VerdictKind, offset: CharOffset, now_ms: float) -> History:
    """The history after the user took a suggestion at `offset`."""
    return dataclasses.replace(
        history, last_verdict=Verdict(kind=kind, offset=offset, time_ms=now_ms)
    )


def _kind_of(edit: AppliedEdit, before: Edit | None) -> EditKind:
    if before is not None and _takes_back(edit, before):
        return EditKind.UNDONE
    if not edit.inserted:
        return EditKind.DELETED
    if edit.removed:
        return EditKind.REPLACED
    return EditKind.TYPED if _is_one_key(edit.inserted) else EditKind.PASTED


def _takes_back(edit: AppliedEdit, before: Edit) -> bool:
    """True where the edit restores what `before` took away, and is no plain deletion.

    Backspace takes back what was typed as well; it looks like an undo only where it restores
    something or takes away more than a key inserts.
    """
    if edit.start != before.start:
        return False
    if (edit.removed, edit.inserted) != (before.inserted, before.removed):
        return False
    return bool(edit.inserted) or not _is_one_key(edit.removed)


def _takes_back_suggestion(edit: Edit, history: History) -> bool:
    """True where an edit removes more than a key's worth of what was accepted right before."""
    verdict, accepted = history.last_verdict, history.last_edit
    if verdict is None or accepted is None or verdict.kind is VerdictKind.REJECTED:
        return False
    is_removal = edit.kind in (EditKind.UNDONE, EditKind.DELETED)
    is_of_it = accepted.start <= edit.start < accepted.end and accepted.start <= verdict.offset
    is_fresh = verdict.offset <= accepted.end and accepted.time_ms <= verdict.time_ms
    return is_removal and is_of_it and is_fresh and not _is_one_key(edit.removed or "\0\0\0")


def _is_one_key(inserted: str) -> bool:
    """True for a character, a pair of brackets, or a line end with what indents the next line."""
    if inserted[0] in "\r\n":
        return not inserted.strip()
    return len(inserted) <= _MAX_TYPED_CHARS or not inserted.strip(" \t")


def _kept(text: str) -> str | None:
    return text if len(text) <= _MAX_KEPT_CHARS else None
