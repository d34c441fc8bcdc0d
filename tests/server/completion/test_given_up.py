"""Rows the engine gives up: who may be, what is said of them, and that they are not tried again."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from fimble_model.engine.protocol import Finish, FinishReason
from fimble_server.completion.completer import Completer
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits, Trigger
from fimble_server.completion.postprocess import process_finish
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FAKE_MODEL, CharCodec, FakeEngine, FakePort, finish_of
from fimble_testing.marked_text import snapshot_of


class _GivingUp(FakePort):
    """An engine that gives every row up after a few unsure characters."""

    async def generate(self, job: Job) -> Generation | None:
        self.jobs.append(job)
        finish = finish_of("lorem", logprob=-4.0, reason=FinishReason.GIVEN_UP)
        return Generation(finishes=(finish,), model=FAKE_MODEL)


@pytest.mark.parametrize(
    ("trigger", "n_candidates", "may_give_up"),
    [
        pytest.param(Trigger.AUTOMATIC, 1, True, id="typing"),
        pytest.param(Trigger.AUTOMATIC, 3, False, id="several candidates"),
        pytest.param(Trigger.INVOKED, 1, False, id="asked for"),
    ],
)
def test_only_the_single_row_of_a_keystroke_may_be_given_up(
    trigger: Trigger, n_candidates: int, may_give_up: bool
) -> None:
    port = _GivingUp(FakeEngine(lambda _: ""))
    completer = Completer(port=port, clock=ManualClock())
    snapshot = dataclasses.replace(
        snapshot_of("def f():\n    <|>\n"), trigger=trigger, n_candidates=n_candidates
    )
    asyncio.run(completer.complete(snapshot, Limits()))
    requests = port.jobs[0].build(CharCodec(), FAKE_MODEL)
    assert all((request.min_confidence > 0) is may_give_up for request in requests)


def test_a_row_given_up_is_hidden_and_the_answer_is_kept() -> None:
    """Asked again at the same place, the model is left in peace."""
    port = _GivingUp(FakeEngine(lambda _: ""))
    completer = Completer(port=port, clock=ManualClock())
    for _ in range(2):
        answer = asyncio.run(completer.complete(snapshot_of("x = <|>\n"), Limits()))
        assert answer is not None
        assert answer.suggestions == ()
        assert [each.reason for each in answer.hidden] == ["not confident (0.00 < 0.30)"]
    assert len(port.jobs) == 1


def test_what_was_sure_before_the_doubt_is_still_shown() -> None:
    """Giving up comes with the doubt, so a sure beginning is never lost by it."""
    port = _GivingUp(FakeEngine(lambda _: ""))
    completer = Completer(port=port, clock=ManualClock())
    snapshot = snapshot_of("x = <|>\n")
    answer = asyncio.run(completer.complete(snapshot, Limits()))
    assert answer is not None
    draft = process_finish(_doubtful("sure(ip", 4), page_of(snapshot), answer.plan).verdict
    assert getattr(draft, "text", "") == "sure"
    assert getattr(draft, "confidence", 0.0) > 0.9
    draft = process_finish(_doubtful("sure word ip", 9), page_of(snapshot), answer.plan).verdict
    assert getattr(draft, "text", "") == "sure word", "the last sure word is not lost to the cut"
    draft = process_finish(_doubtful("self.x", 5), page_of(snapshot), answer.plan).verdict
    assert getattr(draft, "text", "") == "self", "no dot waits for the name that was in doubt"


def _doubtful(text: str, n_sure_chars: int) -> Finish:
    """A row given up, of which the first characters are sure."""
    plain = finish_of(text, logprob=-4.0, reason=FinishReason.GIVEN_UP)
    tokens = [
        dataclasses.replace(token, logprob=-0.01) if token.char_end <= n_sure_chars else token
        for token in plain.tokens
    ]
    return dataclasses.replace(plain, tokens=tuple(tokens))
