"""The engine: many rows generated at once by one network, one pass a step.

Owns the rows from `add` to their last delta, and the wall that keeps one row's fault from the
others. Never decides what a prompt holds. One thread owns it and makes every call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.drafting import Drafting
from fimble_model.engine.drawing import Drawing
from fimble_model.engine.faults import log_fault, refuse_unknown_ids
from fimble_model.engine.memories import Memories
from fimble_model.engine.memory import MemoryView
from fimble_model.engine.memory_files import load_segments
from fimble_model.engine.passes import Passes
from fimble_model.engine.pieces import Answer, Drawn, PassRunner, Piece
from fimble_model.engine.prefix import n_common_tokens
from fimble_model.engine.protocol import (
    Clock,
    Delta,
    EngineHoldings,
    EngineWork,
    FinishReason,
    ModelInfo,
    Prompt,
    Request,
    RequestId,
    TokenId,
)
from fimble_model.engine.row import Row, new_row
from fimble_model.engine.sampling import new_generator
from fimble_model.engine.scheduler import PassLimits, RowDemand, Scheduler
from fimble_model.engine.slots import SlotCache, SlotRow
from fimble_model.engine.speculation import SpeculationPort
from fimble_model.engine.strides import Stride, begin_stride, take_drawn
from fimble_model.errors import RequestError
from fimble_model.network.cost import PassCost

__all__ = ["NativeEngine"]

# A row waits for another's prefill where that saves it at least this many tokens. Guessed.
_WORTH_WAITING_TOKENS = 32

_P = ParamSpec("_P")


class NativeEngine:
    """Implements `Engine` over a network that `runner` passes tokens through, each at its `cost`.

    Keeps the invariants that a request is either waiting or running until its one finish, and
    that every slot row in use belongs to a running row.

    Tokens that spell nothing but the healing text are not counted as generated: neither in
    `Finish.tokens` nor against `max_new_tokens`. The first token's `logprob` includes the
    choice of how to spell it.
    """

    def __init__(
        self,
        *,
        cost: PassCost,
        runner: PassRunner,
        model: ModelInfo,
        codec: FimCodec,
        cache: SlotCache,
        limits: PassLimits | None = None,
        clock: Clock | None = None,
        memories: Memories | None = None,
        speculation: SpeculationPort | None = None,
    ) -> None:
        self._model = model
        self._codec = codec
        self._cache = cache
        self._scheduler = Scheduler(limits or PassLimits())
        self._clock = clock or SystemClock()
        self._waiting: dict[RequestId, Row] = {}
        self._running: dict[RequestId, Row] = {}
        self._cancelled: set[RequestId] = set()
        self._memories = memories
        self._stride: Stride | None = None
        self._drawing = Drawing(codec, cache.device)
        self._passes = Passes(runner, cache, cost, self._clock)
        self._drafting = Drafting(speculation, self._passes.costs, self._clock)

    @property
    def model(self) -> ModelInfo:
        """What is loaded."""
        return self._model

    @property
    def codec(self) -> FimCodec:
        """The model's tokenizer and FIM format."""
        return self._codec

    @property
    def has_work(self) -> bool:
        """True while a row waits or runs."""
        return bool(self._waiting or self._running)

    @property
    def work(self) -> EngineWork:
        """What has been done so far."""
        return self._passes.work

    @property
    def holdings(self) -> EngineHoldings:
        """What it holds now."""
        return EngineHoldings(
            weight_bytes=self._passes.cost.weight_bytes,
            cache_bytes=self._cache.n_bytes,
            cache_limit_bytes=self._cache.budget_bytes,
            n_rows=len(self._running),
            n_waiting=len(self._waiting),
        )

    @property
    def n_rows_in_use(self) -> int:
        """Cache rows that running rows hold."""
        return self._cache.n_rows_in_use

    @property
    def n_cache_bytes(self) -> int:
        """Bytes of all keys and values, in use or kept."""
        return self._cache.n_bytes

    def add(self, request: Request) -> None:
        """Queue a request. Raises `RequestError` where it could never be served."""
        request_id = request.request_id
        assert not self._holds(request_id), "a request id is in use"
        refuse_unknown_ids(request.prompt.token_ids, self._model.vocabulary_size)
        now_ms = self._clock.now_ms()
        row = new_row(request, self._codec, now_ms, can_draft=self._drafting.is_on)
        # One slot more than is known, so that at least one token can follow.
        if len(row.known_ids) + 1 > self._cache.max_row_tokens:
            raise RequestError(
                expected=f"a prompt of fewer than {self._cache.max_row_tokens} tokens",
                found=f"{len(row.known_ids)} tokens",
                to_do="Send less text, or raise the cache's byte budget if that is the limit.",
            )
        if self._memories is not None and request.memory_scope is not None:
            # As it is now: what is remembered while the row runs must not change its tokens.
            row.memory = self._memories.view(request.memory_scope, request.memory_key)
        self._waiting[request_id] = row
        self._scheduler.add(request_id, client=request.client, owner=request.owner)

    def cancel(self, request_id: RequestId) -> None:
        """End a row: the next step reports it CANCELLED and frees it. Unknown ids are ignored."""
        if self._holds(request_id):
            self._cancelled.add(request_id)

    def remember(self, scope: str, key: str, text: str) -> None:
        """Have a document at hand for rows of this scope that are added from now on."""
        if self._memories is not None:
            self._memories.remember(scope, key, text)

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Have documents at hand whose tokens were indexed elsewhere, in place of those before."""
        if self._memories is not None:
            self._memories.take_stored(scope, load_segments(files, self._model.vocabulary_size))

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a document, or all of the scope's. Unknown names are ignored."""
        if self._memories is not None:
            self._memories.forget(scope, key)

    def score(self, prompt: Prompt, token_ids: Sequence[TokenId]) -> Tensor:
        """The network's own `logprobs_LV` where each of some tokens follows; for measuring."""
        all_ids = [*prompt.token_ids, *token_ids]
        row = self._cache.try_acquire((), len(all_ids))
        assert row is not None, "measuring needs room beside the running rows"
        try:
            with torch.inference_mode():
                piece = Piece(row, all_ids[:-1], len(prompt.token_ids) - 1)
                logprobs_LV = self._passes.run_uncounted([piece])[0]
                assert isinstance(logprobs_LV, Tensor), "nothing was to be drawn"
                return logprobs_LV
        finally:
            self._cache.discard(row)

    def memory_of(self, scope: str, key: str | None = None) -> MemoryView:
        """What a row in this document would copy from, as it is now; for measuring."""
        return MemoryView() if self._memories is None else self._memories.view(scope, key)

    def step(self) -> list[Delta]:
        """Advance every row by at most one pass. Never raises for a single row's fault."""
        if not self.has_work:
            return []
        started_ms = self._clock.now_ms()
        with torch.inference_mode():
            deltas = [self._end(row, FinishReason.CANCELLED) for row in self._pop_cancelled()]
            deltas += [self._end(row, FinishReason.DEADLINE) for row in self._find_late()]
            self._admit_waiting()
            deltas += self._advance_running(started_ms)
        if not self.has_work:
            self._passes.runner.rest()
        return deltas

    def _holds(self, request_id: RequestId) -> bool:
        return request_id in self._waiting or request_id in self._running

    def _pop_cancelled(self) -> list[Row]:
        rows = [
            row
            for request_id in self._cancelled
            if (row := self._waiting.get(request_id) or self._running.get(request_id))
        ]
        self._cancelled.clear()
        return rows

    def _find_late(self) -> list[Row]:
        now_ms, rows = self._clock.now_ms(), (*self._waiting.values(), *self._running.values())
        return [row for row in rows if row.request.is_late(now_ms)]

    def _admit_waiting(self) -> None:
        """Start waiting rows in the schedule's order, while there are places and slots."""
        for candidate in self._scheduler.candidates():
            if self._scheduler.n_running >= self._scheduler.limits.max_rows:
                return
            row = self._waiting[candidate.request_id]
            if self._is_worth_waiting(row):
                continue
            n_wanted = len(row.known_ids) + row.request.max_new_tokens
            kv = self._cache.try_acquire(
                row.request.prompt.token_ids, min(n_wanted, self._cache.max_row_tokens)
            )
            if kv is not None:
                self._start(row, kv)
            elif candidate.is_overdue:
                return

    def _start(self, row: Row, kv: SlotRow) -> None:
        request_id = row.request.request_id
        self._running[request_id] = self._waiting.pop(request_id)
        self._scheduler.start(request_id)
        self._stride = None
        row.kv = kv
        row.n_reused_tokens = len(kv.token_ids)
        row.generator = new_generator(row.request.sampling)
        row.times.started_ms = self._clock.now_ms()

    def _is_worth_waiting(self, row: Row) -> bool:
        """True while a running row is about to compute more of this prompt than is cached.

        Several candidates for one place share their prompt: the first computes it for all.
        """
        prompt_ids = row.request.prompt.token_ids
        others = (
            other.request.prompt.token_ids
            for other in self._running.values()
            if other.is_in_prefill
        )
        n_soon = max((n_common_tokens(prompt_ids, other) for other in others), default=0)
        n_least = _WORTH_WAITING_TOKENS
        return n_soon >= n_least and n_soon - self._cache.n_cached_tokens(prompt_ids) >= n_least

    def _try_stride(self) -> list[Delta] | None:
        """What rows write that go on by a token each, where nobody else runs; else None."""
        stride, self._stride = self._stride, None
        rows = None if stride is None else stride.still(self._running)
        if rows is None:
            return None
        try:
            drawn = self._passes.run_on(rows)
        except Exception as error:  # noqa: BLE001  The engine's wall: see STYLE, errors.
            return [self._fail(row, error, is_cache_sound=False) for row in rows]
        if drawn is None:
            return None
        self._stride = Stride(rows)
        n_most = self._cache.max_row_tokens
        deltas = (
            self._try(take_drawn, row, each, n_most) for row, each in zip(rows, drawn, strict=True)
        )
        return [delta for delta in deltas if delta is not None]

    def _advance_running(self, started_ms: float) -> list[Delta]:
        found = self._try_stride()
        if found is not None:
            return found
        costs = self._passes.costs
        least = costs.least_useful_probability(len(self._running))
        drafting_from_ms = self._clock.now_ms()
        draft, n_most = self._drafting.draft, self._cache.max_row_tokens
        demands = [
            RowDemand(request_id, row.n_pending, draft(row, n_most - len(row.known_ids), least))
            for request_id, row in self._running.items()
        ]
        drafting_ms = self._clock.now_ms() - drafting_from_ms
        n_decoding = sum(demand.n_pending_tokens == 1 for demand in demands)
        shares = self._scheduler.plan(demands, costs.n_tokens_beside(n_decoding))
        if not shares:
            return []
        rows = [self._running[share.request_id] for share in shares]
        try:
            grants = self._passes.runner.grants_wishes
            pieces = [row.next_piece(n, grants) for row, (_, n) in zip(rows, shares, strict=True)]
            for row, piece in zip(rows, pieces, strict=True):
                row.count_pass(len(piece.token_ids))
            costs.note_step(self._clock.now_ms() - started_ms - drafting_ms)
            answers = self._passes.run(pieces)
        except Exception as error:  # noqa: BLE001  The engine's wall: see STYLE, errors.
            return [self._fail(row, error, is_cache_sound=False) for row in rows]
        if grants:
            self._stride = begin_stride(rows, answers, len(self._running))
        deltas = (
            self._try(self._advance, row, answer, drawn)
            for row, answer, drawn in zip(
                rows, answers, self._drawing.draw_together(rows, answers), strict=True
            )
        )
        return [delta for delta in deltas if delta is not None]

    def _try(
        self,
        advance: Callable[Concatenate[Row, _P], FinishReason | None],
        row: Row,
        *arguments: _P.args,
        **named: _P.kwargs,
    ) -> Delta | None:
        """The row's delta after a pass; a row whose stop rule or memory throws fails alone."""
        try:
            reason = advance(row, *arguments, **named)
        except Exception as error:  # noqa: BLE001  The engine's wall: see STYLE, errors.
            return self._fail(row, error, is_cache_sound=True)
        return row.progress() if reason is None else self._end(row, reason)

    def _advance(self, row: Row, answer: Answer, tokens: list[Drawn] | None) -> FinishReason | None:
        if not row.is_in_prefill:
            return self._take_drafts(row, answer, tokens)
        assert isinstance(answer, Tensor), "the first token is drawn here"
        if len(answer):
            row.trial_logprobs.append(answer[: len(answer) - len(row.drafts)])
        if row.n_pending > 0:
            return None
        first = self._drawing.draw_first(row)
        row.times.first_token_ms = self._clock.now_ms()
        if row.drafter is None:
            return self._take(row, first)
        reason = self._take_drafts(row, answer, tokens, first)
        row.n_first_tokens = row.middle.n_tokens
        return reason

    def _take_drafts(
        self, row: Row, answer: Answer, tokens: list[Drawn] | None, first: Drawn | None = None
    ) -> FinishReason | None:
        """Draw at every line until a token is not what was drafted; `first` is drawn already."""
        n_known = len(row.known_ids)
        for index, draft_id in enumerate((*row.drafts, None)):
            if index == 0 and first is not None:
                drawn = first
            else:
                drawn = tokens[index] if tokens else self._drawing.draw_next(row, answer, index)
            reason = self._take(row, drawn)
            if reason is not None or drawn.token_id != draft_id:
                break
        row.settle_drafts(n_known)
        return reason

    def _take(self, row: Row, drawn: Drawn) -> FinishReason | None:
        reason = row.middle.take(drawn.token_id, drawn.logprob)
        row.known_ids.append(drawn.token_id)
        if reason is None and len(row.known_ids) > self._cache.max_row_tokens:
            return FinishReason.CONTEXT_FULL
        return reason

    def _fail(self, row: Row, error: Exception, *, is_cache_sound: bool) -> Delta:
        log_fault("row %s failed with %s\n%s", row, error)
        return self._end(row, FinishReason.FAILED, is_cache_sound=is_cache_sound)

    def _end(self, row: Row, reason: FinishReason, *, is_cache_sound: bool = True) -> Delta:
        request_id = row.request.request_id
        self._waiting.pop(request_id, None)
        self._running.pop(request_id, None)
        self._cancelled.discard(request_id)
        self._scheduler.remove(request_id)
        if row.kv is not None:
            (self._cache.release if is_cache_sound else self._cache.discard)(row.kv)
        now_ms = self._clock.now_ms()
        self._drafting.note_end(row, now_ms)
        return row.finish(reason, now_ms)
