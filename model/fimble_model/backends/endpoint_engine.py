"""The engine over a completions server: text goes there, and the rest is as with our own.

Owns the rows and their order. Stop rules, limits, deadlines and giving up are judged here, after
every piece of text; a row that has ended has its connection closed, so that the server stops.
"""

from __future__ import annotations

import logging
import queue
import weakref
from collections.abc import Sequence
from pathlib import Path

from fimble_model.backends.endpoint import Endpoint, parameters_for
from fimble_model.backends.endpoint_codec import EndpointCodec
from fimble_model.backends.endpoint_row import EndpointRow
from fimble_model.backends.endpoint_wire import Ended, EndpointWire, Event, Failed, Written
from fimble_model.engine.accounts import EngineHoldings, EngineWork
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import (
    BackEnd,
    Clock,
    Delta,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
)
from fimble_model.engine.scheduler import PassLimits, Scheduler
from fimble_model.errors import EndpointError, FimbleError
from fimble_model.text.fim_format import FimFormat

__all__ = ["EndpointEngine"]

log = logging.getLogger(__name__)

# The longest a step waits for news, and so a cancelled row for being noticed.
_STEP_S = 0.02
# Requests under way at once; a team's gateway counts them. Guessed.
_MOST_ROWS = 8
_MOST_FAULTS_IN_A_ROW = 3
# Strings at which the server is to stop by itself: the interface takes four.
_MOST_STOPS = 4


class EndpointEngine:
    """Implements `Engine` over an `Endpoint`.

    Keeps the invariant that a request has a connection from its start to its finish, and no
    longer. `step` raises `EndpointError` where the server itself fails, and then holds no row.
    """

    def __init__(
        self, endpoint: Endpoint, fim_format: FimFormat | None, clock: Clock | None = None
    ) -> None:
        self._endpoint = endpoint
        self._codec = EndpointCodec(fim_format)
        self._clock = clock or SystemClock()
        self._parameters = parameters_for(endpoint, None)
        self._wire = EndpointWire(endpoint)
        self._stop = weakref.finalize(self, self._wire.stop)
        self._scheduler = Scheduler(PassLimits(max_rows=_MOST_ROWS))
        self._waiting: dict[RequestId, EndpointRow] = {}
        self._running: dict[RequestId, EndpointRow] = {}
        self._cancelled: set[RequestId] = set()
        self._work = EngineWork()
        self._n_faults_in_a_row = 0
        self.last_fault: EndpointError | None = None
        orders = () if fim_format is None else fim_format.orders
        self._model = ModelInfo(
            name=endpoint.model,
            device="remote",
            dtype="unknown",
            n_parameters=0,
            context_tokens=endpoint.context_tokens,
            vocabulary_size=2**63,
            fim_family="the server's" if fim_format is None else fim_format.family,
            fim_orders=tuple(order.value for order in orders),
            kernels="unknown",
            back_end=BackEnd.ENDPOINT,
            sends_text_to=endpoint.place,
        )

    @property
    def model(self) -> ModelInfo:
        """What the server runs, as far as we know."""
        return self._model

    @property
    def codec(self) -> EndpointCodec:
        """How text becomes a prompt."""
        return self._codec

    @property
    def has_work(self) -> bool:
        """True while a row waits or runs."""
        return bool(self._waiting or self._running)

    @property
    def work(self) -> EngineWork:
        """Pieces of text that came."""
        return self._work

    @property
    def holdings(self) -> EngineHoldings:
        """Rows; the memory is the server's."""
        return EngineHoldings(n_rows=len(self._running), n_waiting=len(self._waiting))

    def look_around(self) -> tuple[str, ...]:
        """The models that the server says it has; from now on it is asked as its kind wants.

        Raises `EndpointError` where it does not answer.
        """
        served = self._wire.list_served()
        self._parameters = parameters_for(self._endpoint, served.owner)
        return served.names

    def close(self) -> None:
        """Close all connections; the engine is of no use from then on."""
        self._stop()

    def add(self, request: Request) -> None:
        """Queue a request."""
        request_id = request.request_id
        assert not self._holds(request_id), "a request id is in use"
        self._waiting[request_id] = EndpointRow(request, self._clock.now_ms())
        self._scheduler.add(request_id, client=request.client, owner=request.owner)

    def cancel(self, request_id: RequestId) -> None:
        """End a row: the next step reports it CANCELLED. Unknown ids are ignored."""
        if self._holds(request_id):
            self._cancelled.add(request_id)

    def step(self) -> list[Delta]:
        """Take in what has come, waiting a moment for it."""
        if not self.has_work:
            return []
        now_ms = self._clock.now_ms()
        rows = {**self._waiting, **self._running}
        ended = [(each, FinishReason.CANCELLED) for each in self._cancelled if each in rows]
        ended += [
            (request_id, FinishReason.DEADLINE)
            for request_id, row in rows.items()
            if request_id not in self._cancelled and row.request.is_late(now_ms)
        ]
        self._cancelled.clear()
        deltas = [self._end(rows[request_id], reason) for request_id, reason in ended]
        self._start_waiting()
        for event in self._news(waits=bool(self._running) and not deltas):
            delta = self._take(event)
            if delta is not None:
                deltas.append(delta)
        return deltas

    def remember(self, scope: str, key: str, text: str) -> None:
        """Nothing: what a server has no tokens for cannot be mixed in."""

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Nothing."""

    def forget(self, scope: str, key: str | None = None) -> None:
        """Nothing."""

    def _holds(self, request_id: RequestId) -> bool:
        return request_id in self._waiting or request_id in self._running

    def _start_waiting(self) -> None:
        for candidate in self._scheduler.candidates():
            if self._scheduler.n_running >= self._scheduler.limits.max_rows:
                return
            row = self._running[candidate.request_id] = self._waiting.pop(candidate.request_id)
            self._scheduler.start(candidate.request_id)
            row.started_ms = self._clock.now_ms()
            self._wire.ask(candidate.request_id, self._body(row.request))

    def _body(self, request: Request) -> dict[str, object]:
        prompt, suffix = self._codec.to_text(request.prompt)
        body: dict[str, object] = {
            **self._parameters,
            "model": self._endpoint.model,
            "prompt": prompt,
            "max_tokens": request.max_new_tokens,
            "stream": True,
        }
        body.setdefault("temperature", request.sampling.temperature)
        body.setdefault("top_p", request.sampling.top_p)
        if request.sampling.temperature:
            body["seed"] = request.sampling.seed
        if suffix is not None:
            body["suffix"] = suffix
        fim_format = self._codec.fim_format
        if fim_format is not None:
            stops = dict.fromkeys((*fim_format.end_tokens, *fim_format.control_strings()))
            body["stop"] = list(stops)[:_MOST_STOPS]
        return body

    def _news(self, *, waits: bool) -> list[Event]:
        events: list[Event] = []
        try:
            if waits:
                events.append(self._wire.events.get(timeout=_STEP_S))
            while True:
                events.append(self._wire.events.get_nowait())
        except queue.Empty:
            return events

    def _take(self, event: Event) -> Delta | None:
        """An event of a row that has ended meanwhile says nothing any more."""
        row = self._running.get(event.request_id)
        if row is None:
            return None
        try:
            reason = self._advance(row, event)
        except FimbleError:
            raise
        except Exception as error:  # noqa: BLE001  The engine's wall: see STYLE, errors.
            log.error("row %s failed with %s", event.request_id, type(error).__name__)
            reason = FinishReason.FAILED
        return row.progress() if reason is None else self._end(row, reason)

    def _advance(self, row: EndpointRow, event: Event) -> FinishReason | None:
        match event:
            case Written():
                if row.first_ms is None:
                    row.first_ms = self._clock.now_ms()
                self._work += EngineWork(n_passes=1, n_pass_tokens=1)
                return row.take(event.text, event.logprob)
            case Ended():
                self._n_faults_in_a_row = 0
                end = FinishReason.LENGTH if event.is_full else FinishReason.END_TOKEN
                return row.take_rest() or end
            case Failed():
                self._note_fault(event)
                return FinishReason.FAILED

    def _note_fault(self, failed: Failed) -> None:
        """Raise where it is not the row's alone; all rows are dropped first."""
        log.warning("the completions server failed a row: %s", failed.error)
        self._n_faults_in_a_row += 1
        self.last_fault = failed.error
        if failed.lasting or self._n_faults_in_a_row >= _MOST_FAULTS_IN_A_ROW:
            for row in (*self._waiting.values(), *self._running.values()):
                self._end(row, FinishReason.FAILED)
            raise failed.error

    def _end(self, row: EndpointRow, reason: FinishReason) -> Delta:
        request_id = row.request.request_id
        self._waiting.pop(request_id, None)
        self._running.pop(request_id, None)
        self._scheduler.remove(request_id)
        self._wire.drop(request_id)
        return row.finish(reason, self._clock.now_ms())
