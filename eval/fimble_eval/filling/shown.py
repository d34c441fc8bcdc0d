"""What the product would show in a hole: its modes, its stop rules, its judgement, its silence.

Owns the batch. Each hole is a request of its own to one completer; deadlines are so far away
that only the answer is measured, not this machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence

from fimble_eval.filling.hole import Filling, Hole
from fimble_eval.filling.raw import snapshot_of
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import Engine
from fimble_server.completion.answer import Answer
from fimble_server.completion.completer import Completer
from fimble_server.completion.inline_port import InlinePort
from fimble_server.completion.plan import Limits, Trigger

__all__ = ["fill_as_shown"]

_N_ROWS = 16
_PATIENCE_MS = 3_600_000.0


def fill_as_shown(
    engine: Engine,
    holes: Sequence[Hole],
    *,
    trigger: Trigger = Trigger.AUTOMATIC,
    limits: Limits | None = None,
    on_filled: Callable[[], None] = lambda: None,
) -> list[Filling]:
    """The product's first suggestion for each hole; a filling without text where it is silent."""
    patient = dataclasses.replace(
        limits or Limits(),
        acceleration_deadline_ms=_PATIENCE_MS,
        exploration_deadline_ms=_PATIENCE_MS,
    )
    clock = SystemClock()
    completer = Completer(port=InlinePort(engine=engine, clock=clock), clock=clock)

    async def fill(hole: Hole, places: asyncio.Semaphore) -> Filling:
        async with places:
            snapshot = dataclasses.replace(snapshot_of(hole), trigger=trigger)
            answer = await completer.complete(snapshot, patient)
            completer.forget(snapshot.owner)
            on_filled()
            assert answer is not None, "nothing replaces a request of a benchmark"
            return _filling_of(answer, hole)

    async def fill_all() -> list[Filling]:
        places = asyncio.Semaphore(_N_ROWS)
        return list(await asyncio.gather(*(fill(hole, places) for hole in holes)))

    return asyncio.run(fill_all())


def _filling_of(answer: Answer, hole: Hole) -> Filling:
    if not answer.suggestions:
        reason = answer.hidden[0].reason if answer.hidden else "nothing"
        return Filling(text="", n_tokens=answer.tokens.generated, reason=f"silent: {reason}")
    shown = answer.suggestions[0]
    n_before_chars = len(hole.prefix) - shown.start
    return Filling(
        text=shown.text[n_before_chars:],
        n_overwritten_chars=shown.end - len(hole.prefix),
        n_tokens=answer.tokens.generated,
        confidence=shown.confidence,
        reason=f"shown: {answer.plan.rule}",
    )
