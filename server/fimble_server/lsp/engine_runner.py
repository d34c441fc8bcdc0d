"""What the engine's thread does: obey commands, step while there is work, sleep while there is not.

Owns the engine and the second wall: a step that throws fails its rows and not the thread.
Runs on the engine's thread alone; knows of the event loop only two callbacks.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fimble_model import LoadProgress, built_to_stay, give_back_memory
from fimble_model.engine.protocol import Clock, Engine, EngineHoldings, EngineWork, ModelInfo
from fimble_server.completion.project_texts import ProjectTexts
from fimble_server.errors import EndpointError, FimbleError
from fimble_server.lsp.engine_jobs import EngineJobs, Outcome, Ticket
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.safe_logging import describe_safely
from fimble_server.lsp.watch import Watch

__all__ = [
    "BuildEngine",
    "Command",
    "EngineRunner",
    "ForgetTexts",
    "Load",
    "RememberTexts",
    "ReportProgress",
    "Stop",
    "TakeStored",
    "Wake",
]

log = logging.getLogger(__name__)

ReportProgress = Callable[[LoadProgress], None]
BuildEngine = Callable[[ReportProgress], Engine]

# Guessed: one throw may be a row's fault, three in a row are the engine's.
_MOST_THROWS_IN_A_ROW = 3
_RETRY_ENDPOINT_MS = 5_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Build an engine, in place of the one there is.

    After `unload_after_idle_s` without a command it is dropped, and built again for the next job.
    """

    build: BuildEngine
    unload_after_idle_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberTexts:
    """Have texts at hand before a request needs them. No harm where no engine is there yet."""

    texts: ProjectTexts


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeStored:
    """Texts that were indexed elsewhere are to be had in these folders, in place of others."""

    scope: str
    folders: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetTexts:
    """A text, or all of a scope's, is nobody's any more."""

    scope: str
    key: str | None = None


class Wake:
    """Look at the tickets' flags: one was dropped."""


class Stop:
    """Leave the thread."""


Command = Ticket | Load | RememberTexts | TakeStored | ForgetTexts | Wake | Stop


class EngineRunner:
    """Keeps the invariant that every ticket is either on the desk or settled."""

    def __init__(
        self,
        *,
        commands: queue.SimpleQueue[Command],
        clock: Clock,
        settle: Callable[[Ticket, Outcome], None],
        report: Callable[[EngineStatus], None],
        tell: Callable[[Ticket, tuple[str, ...]], None],
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._commands = commands
        self._clock = clock
        self._settle = settle
        self._report = report
        self._tell = tell
        # Replaced as wholes, on the engine's thread; read from any.
        self.work, self.holdings = EngineWork(), EngineHoldings()
        self._work_before = EngineWork()  # Of engines that were let go.
        self._jobs: EngineJobs | None = None
        self._load_again: Load | None = None
        self._error: FimbleError | None = None
        self._waiting: list[Ticket] = []
        self._n_throws_in_a_row = 0
        self._failed_at_ms = 0.0

    def run(self) -> None:
        """The thread's whole life: returns when told to stop."""
        while True:
            for command in self._take_commands():
                if isinstance(command, Stop):
                    return
                self._obey(command)
            if self._jobs is not None and self._jobs.has_work:
                self._step(self._jobs)
                self._look()

    def _take_commands(self) -> Iterator[Command]:
        """Commands that wait; blocks, without using the processor, where there is nothing to do."""
        if self._jobs is None or not self._jobs.has_work:
            try:
                yield self._commands.get(timeout=self._idle_limit_s())
            except queue.Empty:
                self._unload()
        while not self._commands.empty():
            yield self._commands.get()

    def _idle_limit_s(self) -> float | None:
        """How long an engine may wait for a command; None where none is loaded."""
        if self._jobs is None or self._load_again is None:
            return None
        return self._load_again.unload_after_idle_s

    def _unload(self) -> None:
        """Drop the engine and give its memory back. A job that comes will load it again."""
        assert self._jobs is not None
        model = self._jobs.model
        self._let_go()
        give_back_memory()
        log.info("unloaded model=%s after a long idle time", model.name)
        self._report(EngineStatus(state=EngineState.UNLOADED, model=model))

    def _let_go(self) -> None:
        """Drop the engine, but not what it did."""
        self._jobs, self._work_before = None, self.work
        self._look()

    def _look(self) -> None:
        """Publish what the engine has done and holds."""
        self.holdings = EngineHoldings()
        if self._jobs is not None:
            self.work = self._work_before + self._jobs.work
            self.holdings = self._jobs.holdings

    def _obey(self, command: Command) -> None:
        match command:
            case Load():
                self._load_again = command
                self._load(command.build)
            case Ticket() if self._jobs is not None:
                self._jobs.start(command)
            case Ticket() if self._error is not None and not self._may_try_again():
                self._settle(command, self._error)
            case Ticket():
                self._waiting.append(command)
                if self._load_again is not None:
                    self._load(self._load_again.build)
            case RememberTexts() if self._jobs is not None:
                self._jobs.remember(command.texts)
            case ForgetTexts() if self._jobs is not None:
                self._jobs.forget(command.scope, command.key)
            case TakeStored() if self._jobs is not None:
                self._jobs.take_stored(command.scope, command.folders)
            case _:
                pass

    def _may_try_again(self) -> bool:
        """A server that failed may be back; it is not asked with every key."""
        waited_ms = self._clock.now_ms() - self._failed_at_ms
        return isinstance(self._error, EndpointError) and waited_ms >= _RETRY_ENDPOINT_MS

    def _load(self, build: BuildEngine) -> None:
        """Let go of the old engine before the new one takes memory, then start what waits."""
        waiting = (*self._waiting, *(self._jobs.tickets if self._jobs is not None else ()))
        self._let_go()
        self._error, self._waiting = None, []
        self._report(EngineStatus(state=EngineState.LOADING))
        started_ms = self._clock.now_ms()
        try:
            with built_to_stay():
                engine = build(self._report_progress)
        except FimbleError as error:
            self._fail(error, waiting)
        except Exception as error:  # noqa: BLE001 - a wall: the thread outlives a loader's fault
            log.error("loading failed: %s", describe_safely(error))
            self._fail(_load_fault(error), waiting)
        else:
            self._jobs = EngineJobs(
                engine=engine,
                clock=self._clock,
                settle=self._settle,
                tell=self._tell,
                watch=self._watch,
            )
            self._look()
            _log_ready(engine.model, self._clock.now_ms() - started_ms)
            self._report(EngineStatus(state=EngineState.READY, model=engine.model))
            for ticket in waiting:
                self._jobs.start(ticket)

    def _step(self, jobs: EngineJobs) -> None:
        try:
            jobs.step()
            self._n_throws_in_a_row = 0
        except EndpointError as error:
            jobs.fail_all()
            self._let_go()
            self._fail(error, ())
        except Exception as error:  # noqa: BLE001 - the second wall of two
            log.error("a step failed: %s", describe_safely(error))
            jobs.fail_all()
            self._n_throws_in_a_row += 1
            if self._n_throws_in_a_row >= _MOST_THROWS_IN_A_ROW:
                self._let_go()
                self._fail(_step_fault(error), ())

    def _fail(self, error: FimbleError, waiting: tuple[Ticket, ...]) -> None:
        log.error("no model: %s", error)
        self._error, self._failed_at_ms = error, self._clock.now_ms()
        self._report(EngineStatus(state=EngineState.FAILED, error=error))
        for ticket in waiting:
            self._settle(ticket, error)

    def _report_progress(self, progress: LoadProgress) -> None:
        self._report(EngineStatus(state=EngineState.LOADING, progress=progress))


def _log_ready(model: ModelInfo, load_ms: float) -> None:
    log.info(
        "model=%s device=%s dtype=%s parameters=%d load_ms=%.0f",
        model.name,
        model.device,
        model.dtype,
        model.n_parameters,
        load_ms,
    )


def _load_fault(error: Exception) -> FimbleError:
    return FimbleError(
        expected="a model that loads",
        found=f"a fault of our own ({type(error).__name__})",
        to_do="Run `fimble check`; the log has the place.",
    )


def _step_fault(error: Exception) -> FimbleError:
    return FimbleError(
        expected="an engine that goes on",
        found=f"{_MOST_THROWS_IN_A_ROW} faults in a row ({type(error).__name__})",
        to_do="Restart the server; the log has the place.",
    )
