"""The engine thread's desk: which job has which rows, which end early, which are done.

Owns the rows of every job that runs. Lives on the engine's thread and talks to it alone; how
a result reaches the event loop is the caller's `settle`, and a row's text so far its `tell`.
Never blocks and never raises for a job's fault: each job is settled exactly once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fimble_model.engine.protocol import (
    Clock,
    Delta,
    Engine,
    EngineHoldings,
    EngineWork,
    Finish,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
)
from fimble_server.completion.engine_port import Generation, Job, stamp
from fimble_server.completion.project_texts import ProjectTexts, feed
from fimble_server.errors import FimbleError, RequestError
from fimble_server.lsp.safe_logging import describe_safely
from fimble_server.lsp.watch import Watch

__all__ = ["EngineJobs", "Outcome", "Ticket"]

log = logging.getLogger(__name__)

Outcome = Generation | FimbleError | None


@dataclass(slots=True, eq=False, kw_only=True)
class Ticket:
    """A job on its way. Only the loop touches `future`; it alone sets `dropped`, never unset."""

    number: int
    job: Job
    future: asyncio.Future[Generation | None]
    handed_in_ms: float
    dropped: bool = False


@dataclass(slots=True, kw_only=True)
class _RunningJob:
    """A ticket with its rows. `finishes` fills up in any order."""

    ticket: Ticket
    row_ids: tuple[RequestId, ...]
    finishes: dict[RequestId, Finish] = field(default_factory=dict)
    texts: dict[RequestId, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return len(self.finishes) == len(self.row_ids)


def _tell_nobody(ticket: Ticket, texts: tuple[str, ...]) -> None:
    del ticket, texts


class EngineJobs:
    """Keeps the invariant that every row of a live job is in the engine, and no other row is.

    `clock` is the engine's own: deadlines are moments on it.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        clock: Clock,
        settle: Callable[[Ticket, Outcome], None],
        tell: Callable[[Ticket, tuple[str, ...]], None] = _tell_nobody,
        watch: Watch | None = None,
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._settle = settle
        self._tell = tell
        self._started_ms = clock.now_ms()
        self._running: dict[int, _RunningJob] = {}
        self._job_of_row: dict[RequestId, _RunningJob] = {}

    @property
    def has_work(self) -> bool:
        """True while a job runs, or a dropped row has yet to leave the engine."""
        return bool(self._running) or self._engine.has_work

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """The jobs that are not settled yet, oldest first."""
        return tuple(running.ticket for running in self._running.values())

    def start(self, ticket: Ticket) -> None:
        """Build the job's requests and hand them to the engine."""
        if ticket.dropped:
            return
        if ticket.job.texts is not None:
            self.remember(ticket.job.texts)
        try:
            built = ticket.job.build(self._engine.codec, self.model)
            requests = stamp(
                ticket.job,
                built,
                number=ticket.number,
                deadline_at_ms=max(ticket.handed_in_ms, self._started_ms) + ticket.job.deadline_ms,
            )
        except FimbleError as error:
            self._settle(ticket, error)
            return
        except Exception as error:  # noqa: BLE001 - a wall: one job's fault stays its own
            log.error("job %d: no prompt: %s", ticket.number, describe_safely(error))
            self._settle(ticket, _prompt_fault(error))
            return
        self._add_rows(ticket, requests)

    def remember(self, texts: ProjectTexts) -> None:
        """Feed the engine's memory. A fault there costs a better suggestion, never an answer."""
        try:
            feed(self._engine, texts)
        except Exception as error:  # noqa: BLE001 - a wall: a text's fault stays its own
            log.error("a text could not be remembered: %s", describe_safely(error))

    def take_stored(self, scope: str, folders: tuple[Path, ...]) -> None:
        """Have the engine map what was indexed elsewhere; a fault there costs no answer."""
        try:
            self._engine.take_stored(scope, folders)
        except Exception as error:  # noqa: BLE001 - a wall: a damaged file's fault stays its own
            log.error("an index could not be taken: %s", describe_safely(error))

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a text, or all that the engine remembers of a scope."""
        self._engine.forget(scope, key)

    def step(self) -> None:
        """Drop what is due, advance the engine once, settle what is done.

        Raises what the engine raises; the caller then calls `fail_all`.
        """
        for running in tuple(self._running.values()):
            if running.ticket.dropped:
                self._forget(running)
        for delta in self._engine.step() if self._engine.has_work else []:
            self._take(delta)
        if not self._engine.has_work and self._running:
            log.error("the engine ended without finishing %d jobs", len(self._running))
            self.fail_all()

    def fail_all(self) -> None:
        """Settle every job with what it has; rows without an end are FAILED."""
        for running in tuple(self._running.values()):
            for row_id in running.row_ids:
                running.finishes.setdefault(row_id, _FAILED_ROW)
            self._finish(running)

    @property
    def work(self) -> EngineWork:
        """What the engine has done."""
        return self._engine.work

    @property
    def holdings(self) -> EngineHoldings:
        """What the engine holds."""
        return self._engine.holdings

    @property
    def model(self) -> ModelInfo:
        """The model of the engine whose jobs these are."""
        return self._engine.model

    def _add_rows(self, ticket: Ticket, requests: tuple[Request, ...]) -> None:
        running = _RunningJob(
            ticket=ticket,
            row_ids=tuple(request.request_id for request in requests),
        )
        try:
            for request in requests:
                self._engine.add(request)
        except FimbleError as error:
            self._cancel_rows(running)
            self._settle(ticket, error)
            return
        if running.is_done:
            self._settle(ticket, Generation(finishes=(), model=self.model))
            return
        self._running[ticket.number] = running
        self._job_of_row.update(dict.fromkeys(running.row_ids, running))

    def _take(self, delta: Delta) -> None:
        """Note a row's end; rows of forgotten jobs are nobody's."""
        if self._watch is not None and delta.finish is not None:
            self._watch.take_row(delta.finish)
        running = self._job_of_row.get(delta.request_id)
        if running is None:
            return
        if delta.text and running.ticket.job.on_progress is not None:
            texts = running.texts
            texts[delta.request_id] = texts.get(delta.request_id, "") + delta.text
            self._tell(running.ticket, tuple(texts.get(row_id, "") for row_id in running.row_ids))
        if delta.finish is None:
            return
        running.finishes[delta.request_id] = delta.finish
        if running.is_done:
            self._finish(running)

    def _finish(self, running: _RunningJob) -> None:
        finishes = tuple(running.finishes[row_id] for row_id in running.row_ids)
        self._forget(running)
        self._settle(running.ticket, Generation(finishes=finishes, model=self.model))

    def _forget(self, running: _RunningJob) -> None:
        """Take the job off the desk; rows that still run are cancelled."""
        self._running.pop(running.ticket.number, None)
        for row_id in running.row_ids:
            self._job_of_row.pop(row_id, None)
        self._cancel_rows(running)

    def _cancel_rows(self, running: _RunningJob) -> None:
        for row_id in running.row_ids:
            if row_id not in running.finishes or running.finishes[row_id] is _FAILED_ROW:
                self._engine.cancel(row_id)


_FAILED_ROW = Finish(
    reason=FinishReason.FAILED,
    text="",
    tokens=(),
    n_prompt_tokens=0,
    n_reused_tokens=0,
    queue_ms=0.0,
    prefill_ms=0.0,
    decode_ms=0.0,
)


def _prompt_fault(error: Exception) -> RequestError:
    return RequestError(
        expected="a prompt to be built",
        found=f"a fault of our own ({type(error).__name__})",
        to_do="The log has the place; please report it.",
    )
