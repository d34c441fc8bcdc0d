"""What a history says of the user: rhythm, last edit, last verdict."""

from __future__ import annotations

import pytest

from fimble_server.completion.mode import decide
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.signals import (
    LastEdit,
    LastVerdict,
    Rhythm,
    Signals,
    gather_signals,
    rhythm_of,
)
from fimble_server.document.buffers import AppliedEdit
from fimble_server.document.history import History, VerdictKind, note_edits, note_verdict
from fimble_server.document.languages import language_for_id
from fimble_server.document.positions import CharOffset
from fimble_server.document.syntax import inspect, parse

TEXT = "total = "
FACTS = inspect(parse(language_for_id("python"), TEXT), len(TEXT))


def _edit(start: int, removed: str, inserted: str) -> AppliedEdit:
    return AppliedEdit(start=CharOffset(start), removed=removed, inserted=inserted)


def _typed(times_ms: list[float]) -> History:
    history = History()
    for offset, time_ms in enumerate(times_ms):
        history = note_edits(history, [_edit(offset, "", "x")], time_ms)
    return history


def _signals(history: History, cursor: int, now_ms: float = 1_000.0) -> Signals:
    return gather_signals(
        FACTS, trigger=Trigger.AUTOMATIC, history=history, cursor=cursor, now_ms=now_ms
    )


@pytest.mark.parametrize(
    ("times_ms", "now_ms", "rhythm"),
    [
        ([], 0.0, Rhythm.STEADY),
        ([0, 90, 180, 270, 360], 370.0, Rhythm.BURST),
        ([0, 90, 180, 270, 360], 600.0, Rhythm.STEADY),
        ([0, 90, 400, 490, 580], 590.0, Rhythm.STEADY),
        ([0, 0, 0, 0, 0], 0.0, Rhythm.STEADY),
        ([0, 90], 95.0, Rhythm.STEADY),
        ([0, 90], 1_200.0, Rhythm.PAUSE),
    ],
)
def test_the_rhythm_is_in_the_gaps(times_ms: list[float], now_ms: float, rhythm: Rhythm) -> None:
    """Fast keys are a burst until a pause; edits at one time were a program's."""
    assert rhythm_of(_typed(times_ms), now_ms) is rhythm


def test_an_acceptance_counts_where_it_ends_and_until_the_next_key() -> None:
    """Right after it, and only at its end."""
    history = note_edits(History(), [_edit(8, "", "price * n")], 10.0)
    history = note_verdict(history, VerdictKind.ACCEPTED, CharOffset(8), 11.0)
    assert _signals(history, 17).last_verdict is LastVerdict.ACCEPTED
    assert _signals(history, 3).last_verdict is LastVerdict.NONE
    typed_on = note_edits(history, [_edit(17, "", ";")], 12.0)
    assert _signals(typed_on, 18).last_verdict is LastVerdict.NONE


@pytest.mark.parametrize("n_deleted", [9, 5])
def test_what_is_accepted_and_taken_back_was_refused(n_deleted: int) -> None:
    """Undone or deleted at once it counts as a refusal near there, and nowhere else."""
    history = note_edits(History(), [_edit(8, "", "price * n")], 10.0)
    history = note_verdict(history, VerdictKind.ACCEPTED, CharOffset(8), 11.0)
    removed = "price * n"[-n_deleted:]
    history = note_edits(history, [_edit(17 - n_deleted, removed, "")], 20.0)
    assert history.last_verdict is not None
    assert history.last_verdict.kind is VerdictKind.REJECTED
    assert _signals(history, 8).last_verdict is LastVerdict.REJECTED
    assert _signals(history, 17 - n_deleted).last_edit in (LastEdit.DELETE, LastEdit.UNDO)
    assert _signals(history, 200).last_verdict is LastVerdict.NONE


def test_a_backspace_after_an_acceptance_refuses_nothing() -> None:
    """One character less is a correction."""
    history = note_edits(History(), [_edit(8, "", "price * n")], 10.0)
    history = note_verdict(history, VerdictKind.ACCEPTED, CharOffset(8), 11.0)
    history = note_edits(history, [_edit(16, "n", "")], 20.0)
    assert history.last_verdict is not None
    assert history.last_verdict.kind is VerdictKind.ACCEPTED


def test_signals_bend_the_plan() -> None:
    """A burst leaves less time, a refusal asks for more certainty."""
    plans = [
        plan_completion(decide(signals), FACTS, Limits())
        for signals in (
            Signals(facts=FACTS),
            Signals(facts=FACTS, rhythm=Rhythm.BURST),
            Signals(facts=FACTS, last_verdict=LastVerdict.REJECTED),
        )
    ]
    assert plans[1].deadline_ms < plans[0].deadline_ms
    assert plans[2].min_confidence > plans[0].min_confidence
