"""All that the mode decision may look at: the facts at the cursor and what the user did last.

Owns reading a history as signals: rhythm, last edit, last verdict. Pure: the time is handed in.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fimble_server.completion.plan import Trigger
from fimble_server.document.history import EditKind, History, VerdictKind
from fimble_server.document.syntax import SyntaxFacts

__all__ = ["LastEdit", "LastVerdict", "Rhythm", "Signals", "gather_signals", "rhythm_of"]

# All guessed; measure. Ten keys a second are faster than anybody reads what changes at each.
_BURST_GAP_MS = 110.0
_N_BURST_GAPS = 4
_PAUSE_MS = 1_000.0
# A suggestion that was refused speaks for the rest of its line, not for the file.
_SAME_SPOT_CHARS = 60


class LastEdit(enum.Enum):
    """What the user last did to the text at the cursor."""

    NONE = "none"
    INSERT = "insert"
    DELETE = "delete"
    UNDO = "undo"
    PASTE = "paste"


class LastVerdict(enum.Enum):
    """What the user last did with a suggestion here: took it just now, or took it back."""

    NONE = "none"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Rhythm(enum.Enum):
    """How the user types: faster than reading, steadily, or resting."""

    BURST = "burst"
    STEADY = "steady"
    PAUSE = "pause"


_LAST_EDITS = {
    EditKind.TYPED: LastEdit.INSERT,
    EditKind.REPLACED: LastEdit.INSERT,
    EditKind.PASTED: LastEdit.PASTE,
    EditKind.DELETED: LastEdit.DELETE,
    EditKind.UNDONE: LastEdit.UNDO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a decision is made from. `has_selection` says that the suggest list has an item
    selected: its text stands left of the cursor as if it had been taken."""

    facts: SyntaxFacts
    trigger: Trigger = Trigger.AUTOMATIC
    last_edit: LastEdit = LastEdit.NONE
    last_verdict: LastVerdict = LastVerdict.NONE
    rhythm: Rhythm = Rhythm.STEADY
    has_selection: bool = False


def gather_signals(
    facts: SyntaxFacts,
    *,
    trigger: Trigger,
    history: History,
    cursor: int,
    now_ms: float,
    has_selection: bool = False,
) -> Signals:
    """Signals at a cursor, a character offset of the buffer that the history is of."""
    last_edit = history.last_edit
    is_here = last_edit is not None and last_edit.end == cursor
    return Signals(
        facts=facts,
        trigger=trigger,
        last_edit=_LAST_EDITS[last_edit.kind] if last_edit and is_here else LastEdit.NONE,
        last_verdict=_verdict_at(history, cursor),
        rhythm=rhythm_of(history, now_ms),
        has_selection=has_selection,
    )


def rhythm_of(history: History, now_ms: float) -> Rhythm:
    """How the last keys came, and how long ago the last of them."""
    pause_ms = history.pause_ms(now_ms)
    if pause_ms is None:
        return Rhythm.STEADY
    if pause_ms >= _PAUSE_MS:
        return Rhythm.PAUSE
    gaps_ms = history.gaps_ms(_N_BURST_GAPS)
    # Without any time between them it was a program that wrote, not a hand.
    is_burst = len(gaps_ms) == _N_BURST_GAPS and 0.0 < max(gaps_ms) <= _BURST_GAP_MS
    return Rhythm.BURST if is_burst and pause_ms <= _BURST_GAP_MS else Rhythm.STEADY


def _verdict_at(history: History, cursor: int) -> LastVerdict:
    """The last verdict, where it still says something of this cursor."""
    verdict, last_edit = history.last_verdict, history.last_edit
    if verdict is None:
        return LastVerdict.NONE
    if verdict.kind is VerdictKind.REJECTED:
        is_same_spot = 0 <= cursor - verdict.offset <= _SAME_SPOT_CHARS
        return LastVerdict.REJECTED if is_same_spot else LastVerdict.NONE
    is_fresh = last_edit is None or last_edit.time_ms <= verdict.time_ms
    is_its_end = last_edit is not None and last_edit.end == cursor and verdict.offset <= cursor
    return LastVerdict.ACCEPTED if is_fresh and is_its_end else LastVerdict.NONE
