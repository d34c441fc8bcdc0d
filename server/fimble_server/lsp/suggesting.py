"""From a request for suggestions to its one answer: newest wins, late answers are looked at twice.

Owns a session's running requests. Runs on the event loop; what to suggest is the completer's
affair, what becomes of it is `handed_out`'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from fimble_server.completion.answer import Answer, Suggestion
from fimble_server.completion.completer import OnMore
from fimble_server.completion.page import with_line_feeds
from fimble_server.completion.plan import Limits
from fimble_server.completion.reuse import refit
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer
from fimble_server.errors import FimbleError
from fimble_server.lsp.announcements import Announcements
from fimble_server.lsp.explanation import explain_answer
from fimble_server.lsp.open_buffers import OpenBuffers
from fimble_server.lsp.safe_logging import describe_safely
from fimble_server.lsp.watch import Watch
from fimble_server.settings import CompletionSettings, limits_from

__all__ = ["CompleterPort", "Fitting", "Suggesting"]

log = logging.getLogger(__name__)

# Guessed: shorter than this nobody reads a word in a status bar.
_THINKING_AFTER_S = 0.15


class Fitting(NamedTuple):
    """What may be shown now, and the buffer its offsets count in."""

    buffer: Buffer
    suggestions: tuple[Suggestion, ...]

    def with_line_feeds(self) -> Fitting:
        """The same for a client whose lines end in line feeds, whatever the file's do."""
        fed = (dataclasses.replace(e, text=with_line_feeds(e.text)) for e in self.suggestions)
        return Fitting(self.buffer, tuple(fed))


class CompleterPort(Protocol):
    """What turns a snapshot into an answer."""

    async def complete(
        self, snapshot: Snapshot, limits: Limits, on_more: OnMore | None = None
    ) -> Answer | None:
        """The answer; None where a newer request of the snapshot's owner replaced it.

        Where time ran out, a fuller answer of the same suggestion may go to `on_more` later.
        """
        ...

    def forget(self, owner: str) -> None:
        """Keep nothing of an owner."""
        ...


class Suggesting:
    """Keeps the invariant that of one owner at most one request runs: the newest."""

    def __init__(
        self,
        *,
        buffers: OpenBuffers,
        completer: CompleterPort,
        announcements: Announcements,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._buffers = buffers
        self._completer = completer
        self._announcements = announcements
        self._numbers = itertools.count(1)
        self._running: dict[str, asyncio.Task[object]] = {}
        self._explanations: dict[str, dict[str, object]] = {}

    @property
    def n_requests(self) -> int:
        """How many run now."""
        return len(self._running)

    async def answer(
        self,
        snapshot: Snapshot,
        settings: CompletionSettings,
        on_more: Callable[[Fitting], None] | None = None,
    ) -> Fitting | None:
        """What to show for a snapshot; None where a newer request of its owner replaced it.

        Where time ran out and the rest came later, `on_more` is called with it, as far as it
        still fits the buffer then.

        A model or a fault of ours that cannot answer has nothing to show: it never raises for
        them. Raises `CancelledError` when the client cancels or a newer request arrives.
        """
        number = next(self._numbers)
        try:
            with self._thinking(), self._newest(snapshot.owner):
                answer = await self._completer.complete(
                    snapshot,
                    limits_from(settings),
                    None
                    if on_more is None
                    else lambda fuller: on_more(self._fit(fuller, snapshot)),
                )
        except asyncio.CancelledError:
            self._end(snapshot, number, "cancelled")
            raise
        except FimbleError as error:
            self._end(snapshot, number, "unserved", f" error={type(error).__name__}")
            return Fitting(snapshot.buffer, ())
        except Exception as error:  # noqa: BLE001 - the first wall: a fault is an empty answer
            log.error("request=%d failed: %s", number, describe_safely(error))
            self._end(snapshot, number, "failed")
            return Fitting(snapshot.buffer, ())
        if answer is None:
            self._end(snapshot, number, "superseded")
            return None
        fitting = self._fit(answer, snapshot)
        self._note(number, snapshot, answer, fitting)
        return fitting

    def explanation_of(self, owner: str) -> dict[str, object] | None:
        """Why an owner's last request ended as it did; None where there was none."""
        return self._explanations.get(owner)

    def forget(self, owner: str) -> None:
        """A file is closed: cancel what runs for it, which answers it, and keep nothing of it."""
        running = self._running.get(owner)
        if running is not None:
            running.cancel()
        self._explanations.pop(owner, None)
        self._completer.forget(owner)

    def end(self) -> None:
        """The client is gone: cancel whatever runs."""
        for task in tuple(self._running.values()):
            task.cancel()
        for owner in (*self._running, *self._explanations):
            self._completer.forget(owner)

    def _fit(self, answer: Answer, snapshot: Snapshot) -> Fitting:
        """The answer as it stands, or what of it still fits a buffer that went on meanwhile.

        Editors take ranges on one line only, so no other leaves the house.
        """
        opened = self._buffers.find(snapshot.buffer.uri)
        if opened is None:
            return Fitting(snapshot.buffer, ())
        buffer, fitted = opened.buffer, answer
        if buffer is not snapshot.buffer:
            refitted = refit(answer, snapshot, buffer)
            if refitted is None:
                return Fitting(buffer, ())
            fitted = refitted
        on_one_line = (
            each
            for each in fitted.suggestions
            if buffer.line_at(each.start) == buffer.line_at(each.end)
        )
        return Fitting(buffer, tuple(on_one_line))

    def _note(self, number: int, snapshot: Snapshot, answer: Answer, fitting: Fitting) -> None:
        """Log the request by its numbers, and keep why it ended as it did."""
        self._explanations[snapshot.owner] = explain_answer(
            answer, n_shown=len(fitting.suggestions)
        )
        tokens, timing, plan = answer.tokens, answer.timing, answer.plan
        outcome = "shown" if fitting.suggestions else "empty"
        if self._watch is not None:
            self._watch.take_request(outcome, answer)
        log.info(
            "client=%s request=%d outcome=%s mode=%s rule=%s source=%s "
            "prompt=%d reused=%d drafted=%d accepted=%d new=%d "
            "queue_ms=%.1f prefill_ms=%.1f decode_ms=%.1f total_ms=%.1f "
            "shown=%d late=%d hidden=%d",
            snapshot.client,
            number,
            outcome,
            plan.mode.value,
            plan.rule,
            answer.source,
            tokens.prompt,
            tokens.reused,
            tokens.drafted,
            tokens.accepted,
            tokens.generated,
            timing.queue_ms,
            timing.prefill_ms,
            timing.decode_ms,
            timing.total_ms,
            len(fitting.suggestions),
            len(answer.suggestions) - len(fitting.suggestions),
            len(answer.hidden),
        )

    def _end(self, snapshot: Snapshot, number: int, outcome: str, words: str = "") -> None:
        """Note a request that ended without an answer of the completer's."""
        if self._watch is not None:
            self._watch.take_request(outcome, None)
        log.info("client=%s request=%d outcome=%s%s", snapshot.client, number, outcome, words)

    @contextmanager
    def _newest(self, owner: str) -> Iterator[None]:
        """Be the owner's one running request: the one before is cancelled, which answers it."""
        task = asyncio.current_task()
        assert task is not None
        older = self._running.get(owner)
        if older is not None:
            older.cancel()
        self._running[owner] = task
        try:
            yield
        finally:
            if self._running.get(owner) is task:
                del self._running[owner]

    @contextmanager
    def _thinking(self) -> Iterator[None]:
        """Say so in the status while a request takes long."""
        timer = asyncio.get_running_loop().call_later(
            _THINKING_AFTER_S, self._announcements.take_thinking, True
        )
        try:
            yield
        finally:
            timer.cancel()
            if not self._running:
                self._announcements.take_thinking(False)
