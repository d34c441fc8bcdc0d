"""The one thread that owns the engine: the model is built on it, and every call made from it.

Owns the thread, the way in (a queue) and the way back (`loop.call_soon_threadsafe`). Sessions
share it as their `EnginePort`. It never touches a buffer and never writes to a client.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from fimble_model.engine.protocol import Clock, EngineHoldings, EngineWork, ModelInfo
from fimble_server.completion.engine_port import Generation, Job, may_begin, replaces
from fimble_server.completion.project_texts import ProjectTexts
from fimble_server.errors import EndpointError, FimbleError
from fimble_server.lsp.engine_jobs import Outcome, Ticket
from fimble_server.lsp.engine_runner import (
    BuildEngine,
    Command,
    EngineRunner,
    ForgetTexts,
    Load,
    RememberTexts,
    Stop,
    TakeStored,
    Wake,
)
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.watch import Watch

__all__ = ["EngineThread", "StatusListener"]

log = logging.getLogger(__name__)

StatusListener = Callable[[EngineStatus], None]


class EngineThread:
    """The loop's side. Keeps the invariant that an owner has at most one job that lives.

    Made on the event loop; every method but `stop` is called there.
    """

    def __init__(self, *, clock: Clock, watch: Watch | None = None) -> None:
        self._watch = watch
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._newest: dict[str, Ticket] = {}
        self._listeners: dict[object, StatusListener] = {}
        self._status = EngineStatus()
        self._status_since_ms = clock.now_ms()
        self._runner: EngineRunner | None = None
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> EngineStatus:
        """How the engine stands, as far as the loop has been told."""
        return self._status

    @property
    def model(self) -> ModelInfo | None:
        """What is loaded; None while it loads, after it failed to, and while it is unloaded."""
        return self._status.model if self._status.state is EngineState.READY else None

    @property
    def holdings(self) -> EngineHoldings:
        """What the engine held after its last step; nothing where none is loaded."""
        return self._runner.holdings if self._runner is not None else EngineHoldings()

    @property
    def work(self) -> EngineWork:
        """What all engines so far had done after the last step."""
        return self._runner.work if self._runner is not None else EngineWork()

    @property
    def status_since_ms(self) -> float:
        """The clock's time when the state became what it is."""
        return self._status_since_ms

    @property
    def has_started(self) -> bool:
        """True once a model was asked for, and torch may be in the process."""
        return self._thread is not None

    def load(self, build: BuildEngine, *, unload_after_idle_s: float | None = None) -> None:
        """Run `build` on the thread and use what it makes, in place of any engine before.

        Jobs that wait or run meanwhile are started anew on the new engine. After so many seconds
        without a command the engine is dropped, until a job comes: then `build` runs again.
        """
        self._set_status(EngineStatus(state=EngineState.LOADING))
        self._commands.put(Load(build=build, unload_after_idle_s=unload_after_idle_s))
        if self._thread is None:
            self._runner = EngineRunner(
                commands=self._commands,
                clock=self._clock,
                settle=lambda ticket, outcome: self._on_loop(_settle, ticket, outcome),
                report=lambda status: self._on_loop(self._set_status, status),
                tell=lambda ticket, texts: self._on_loop(_tell, ticket, texts),
                watch=self._watch,
            )
            # A daemon, so that a model that hangs while loading cannot keep the process alive.
            self._thread = threading.Thread(
                target=self._runner.run, name="fimble-engine", daemon=True
            )
            self._thread.start()

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        """Call `listener` at every change of the status; returns what ends that."""
        key = object()
        self._listeners[key] = listener

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    async def generate(self, job: Job) -> Generation | None:
        """Run a job to its end. None when a newer job replaced it.

        The deadline counts from now, or from the end of loading where that comes later.
        """
        error = self._status.error
        if error is not None and not isinstance(error, EndpointError):
            raise error
        ticket = Ticket(
            number=next(self._numbers),
            job=job,
            future=self._loop.create_future(),
            handed_in_ms=self._clock.now_ms(),
        )
        if not may_begin(job, [older.job for older in self._newest.values()]):
            return None
        for older in tuple(self._newest.values()):
            if replaces(job, older.job):
                self._drop(older)
                del self._newest[older.job.owner]
        self._newest[job.owner] = ticket
        self._commands.put(ticket)
        try:
            return await ticket.future
        except asyncio.CancelledError:
            self._drop(ticket)
            raise
        finally:
            if self._newest.get(job.owner) is ticket:
                del self._newest[job.owner]

    def remember(self, texts: ProjectTexts) -> None:
        """Have the engine take texts in when it comes to it, so that no request waits for that."""
        if self.has_started:
            self._commands.put(RememberTexts(texts=texts))

    def take_stored(self, scope: str, folders: tuple[Path, ...]) -> None:
        """Have the engine map texts that were indexed elsewhere, in place of those before."""
        if self.has_started:
            self._commands.put(TakeStored(scope=scope, folders=folders))

    def forget(self, scope: str, key: str | None = None) -> None:
        """Have the engine drop a text, or all of a scope's."""
        if self.has_started:
            self._commands.put(ForgetTexts(scope=scope, key=key))

    def stop(self, *, timeout_s: float) -> bool:
        """End the thread after its present step. False where it did not end in time."""
        if self._thread is None:
            return True
        self._commands.put(Stop())
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _drop(self, ticket: Ticket) -> None:
        """Answer a ticket with None at once, and have its rows freed before the next step."""
        ticket.dropped = True
        _settle(ticket, None)
        self._commands.put(Wake())

    def _set_status(self, status: EngineStatus) -> None:
        if status.state is not self._status.state:
            self._status_since_ms = self._clock.now_ms()
        self._status = status
        for listener in tuple(self._listeners.values()):
            listener(status)

    def _on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        """From the engine's thread: have the loop call back. A closed loop no longer cares."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            log.debug("the event loop is closed; a late word of the engine is dropped")


def _tell(ticket: Ticket, texts: tuple[str, ...]) -> None:
    """Say what a job has written so far, unless it is nobody's any more."""
    if ticket.job.on_progress is not None and not ticket.future.done():
        ticket.job.on_progress(texts)


def _settle(ticket: Ticket, outcome: Outcome) -> None:
    """Give a ticket its one answer; later ones do nothing."""
    if ticket.future.done():
        return
    if isinstance(outcome, FimbleError):
        ticket.future.set_exception(outcome)
    else:
        ticket.future.set_result(outcome)
