"""A completer that answers what the test says, when the test says. No engine, no clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.answer import Answer, Hidden, Suggestion, Timing, TokenCounts
from fimble_server.completion.completer import OnMore
from fimble_server.completion.plan import Limits, Mode, Plan
from fimble_server.completion.snapshot import Snapshot

__all__ = ["ScriptedCompleter", "build_answer"]

_PLAN = Plan(
    mode=Mode.ACCELERATION,
    rule="scripted",
    wanted=True,
    max_lines=1,
    max_new_tokens=8,
    stop=NeverStop(),
    n_candidates=1,
    deadline_ms=100.0,
    min_confidence=0.0,
)
_suggestion_numbers = itertools.count(1)


def build_answer(snapshot: Snapshot, *texts: str, n_right: int = 0, reason: str = "") -> Answer:
    """Each text at the cursor, replacing `n_right` characters right of it."""
    return Answer(
        plan=_PLAN,
        suggestions=tuple(
            Suggestion(
                suggestion_id=f"s{next(_suggestion_numbers)}",
                text=text,
                start=snapshot.cursor,
                end=snapshot.cursor + n_right,
                confidence=0.5,
            )
            for text in texts
        ),
        hidden=(Hidden(text="hidden", reason=reason),) if reason else (),
        source="model",
        tokens=TokenCounts(prompt=8, reused=4, generated=2),
        timing=Timing(total_ms=1.0),
        model=None,
    )


def _answer_x(snapshot: Snapshot) -> Answer | None:
    return build_answer(snapshot, "x")


@dataclass
class ScriptedCompleter:
    """`script` makes the answer; while `gate` is closed, requests wait. Keeps what it was asked."""

    script: Callable[[Snapshot], Answer | None] = _answer_x
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Snapshot] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    n_waiting: int = 0
    n_cancelled: int = 0
    on_more: OnMore | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def forget(self, owner: str) -> None:
        """See `CompleterPort`."""
        self.forgotten.append(owner)

    async def complete(
        self, snapshot: Snapshot, limits: Limits, on_more: OnMore | None = None
    ) -> Answer | None:
        """See `CompleterPort`."""
        self.on_more = on_more
        self.asked.append(snapshot)
        self.limits.append(limits)
        self.n_waiting += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        finally:
            self.n_waiting -= 1
        return self.script(snapshot)
