"""Time that passes only as people and passes take it, and the engine within that time.

Owns the clock of a replay and its way to the engine. A pass costs the same simulated time
whatever the machine is busy with, so a replay's course depends on its seed alone; what a pass
costs in truth is measured beside it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from fimble_eval.replay.written_before import Written, WrittenBefore, built_once
from fimble_model.engine.protocol import Engine, ModelInfo
from fimble_server.completion.engine_port import Generation, Job, may_begin, replaces
from fimble_server.errors import FimbleError
from fimble_server.lsp.engine_jobs import EngineJobs, Outcome, Ticket

__all__ = ["SimulatedClock", "SimulatedPort", "work_until"]

# More turns of the event loop than it takes a pass's news to reach whoever waits for it.
_N_TURNS = 6


class SimulatedClock:
    """Implements `Clock`. Goes on only when told to."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        """Milliseconds since the replay began."""
        return self._now_ms

    def advance_to(self, at_ms: float) -> None:
        """Let time pass; an hour that has passed already changes nothing."""
        self._now_ms = max(self._now_ms, at_ms)


@dataclass(slots=True, eq=False)
class _FromBefore:
    """A generation that is known already, and how long it is yet to take."""

    ticket: Ticket
    generation: Generation
    n_passes_left: int


class SimulatedPort:
    """Implements `EnginePort` with the desk that the server's own engine thread works at.

    Keeps the invariant that an owner has at most one job that lives. `last` is what the engine
    gave last.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        clock: SimulatedClock,
        ms_per_pass: float,
        change: Callable[[Job], Job] | None = None,
        written: WrittenBefore | None = None,
    ) -> None:
        self._engine = engine
        self._written = written
        self._from_before: list[_FromBefore] = []
        self._n_passes = 0
        self._change = change or (lambda job: job)
        self._clock = clock
        self._ms_per_pass = ms_per_pass
        self._jobs = EngineJobs(engine=engine, clock=clock, settle=_settle, tell=_tell)
        self._numbers = itertools.count(1)
        self._newest: dict[str, Ticket] = {}
        self.last: Generation | None = None

    @property
    def model(self) -> ModelInfo:
        """What is loaded; here it always is."""
        return self._jobs.model

    @property
    def has_work(self) -> bool:
        """True while a pass would advance something."""
        return self._jobs.has_work or bool(self._from_before)

    async def generate(self, job: Job) -> Generation | None:
        """Run a job to its end. None when a newer job replaced it."""
        ticket = Ticket(
            number=next(self._numbers),
            job=self._change(job),
            future=asyncio.get_running_loop().create_future(),
            handed_in_ms=self._clock.now_ms(),
        )
        if not may_begin(job, [older.job for older in self._newest.values()]):
            return None
        for older in tuple(self._newest.values()):
            if replaces(job, older.job):
                older.dropped = True
                _settle(older, None)
                del self._newest[older.job.owner]
        self._newest[job.owner] = ticket
        question = self._start(ticket)
        n_passes = self._n_passes
        try:
            generation = await ticket.future
            self.last = generation or self.last
            if generation is not None and question is not None and self._written is not None:
                written = Written(generation, self._n_passes - n_passes)
                self._written.keep(question, written)
            return generation
        except asyncio.CancelledError:
            ticket.dropped = True
            raise
        finally:
            if self._newest.get(job.owner) is ticket:
                del self._newest[job.owner]

    def _start(self, ticket: Ticket) -> int | None:
        """Begin a job, or wait as long as it took before; the question where that is new."""
        if self._written is None:
            self._jobs.start(ticket)
            return None
        requests = ticket.job.build(self._engine.codec, self.model)
        question = self._written.question(ticket.job, requests)
        found = self._written.find(question)
        if found is None:
            ticket.job = dataclasses.replace(ticket.job, build=built_once(requests))
            self._jobs.start(ticket)
            return question
        self._from_before.append(_FromBefore(ticket, found.generation, found.n_passes))
        return None

    def step(self) -> None:
        """One pass, and the time it takes."""
        self._clock.advance_to(self._clock.now_ms() + self._ms_per_pass)
        self._n_passes += 1
        self._jobs.step()
        for waiting in tuple(self._from_before):
            waiting.n_passes_left -= 1
            if waiting.ticket.dropped or waiting.n_passes_left <= 0:
                self._from_before.remove(waiting)
                _settle(waiting.ticket, None if waiting.ticket.dropped else waiting.generation)


async def work_until(
    at_ms: float, *, clock: SimulatedClock, port: SimulatedPort, task: asyncio.Task[object] | None
) -> bool:
    """Let the engine work up to a time, or up to the task's end. True where the task ended."""
    while True:
        for _ in range(_N_TURNS):
            await asyncio.sleep(0)
        if task is not None and task.done():
            return True
        if clock.now_ms() >= at_ms:
            return False
        if port.has_work:
            port.step()
        else:
            clock.advance_to(at_ms)


def _tell(ticket: Ticket, texts: tuple[str, ...]) -> None:
    if ticket.job.on_progress is not None and not ticket.future.done():
        ticket.job.on_progress(texts)


def _settle(ticket: Ticket, outcome: Outcome) -> None:
    if ticket.future.done():
        return
    if isinstance(outcome, FimbleError):
        ticket.future.set_exception(outcome)
    else:
        ticket.future.set_result(outcome)
