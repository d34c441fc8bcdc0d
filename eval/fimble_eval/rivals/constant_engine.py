"""An engine that always writes the same: the baseline that needs no reading at all.

Owns nothing but the text. Prompts, stop rules and budgets are obeyed as by any engine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import (
    Delta,
    Engine,
    EngineHoldings,
    EngineWork,
    Finish,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
    TextCodec,
    TokenId,
)

__all__ = ["ConstantEngine"]


class ConstantEngine:
    """Implements `Engine`; every row is done in one step. `codec` lends it a tokenizer's words."""

    def __init__(self, text: str, *, codec: TextCodec, model: ModelInfo) -> None:
        self._text = text
        self._codec = codec
        self._model = model
        self._waiting: OrderedDict[RequestId, Request] = OrderedDict()
        self._cancelled: set[RequestId] = set()

    @property
    def model(self) -> ModelInfo:
        """What the answer goes by."""
        return self._model

    @property
    def codec(self) -> TextCodec:
        """The lent tokenizer's."""
        return self._codec

    @property
    def has_work(self) -> bool:
        """True while a row waits."""
        return bool(self._waiting)

    @property
    def work(self) -> EngineWork:
        """Nothing is computed."""
        return EngineWork()

    @property
    def holdings(self) -> EngineHoldings:
        """Nothing that is worth counting."""
        return EngineHoldings()

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._waiting[request.request_id] = request

    def cancel(self, request_id: RequestId) -> None:
        """End a row with the next step."""
        self._cancelled.add(request_id)

    def step(self) -> list[Delta]:
        """Answer every row."""
        deltas = [self._answer(request) for request in self._waiting.values()]
        self._waiting.clear()
        self._cancelled.clear()
        return deltas

    def remember(self, scope: str, key: str, text: str) -> None:
        """Nothing is learned."""

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Nothing is learned."""

    def forget(self, scope: str, key: str | None = None) -> None:
        """Nothing was learned."""

    def _answer(self, request: Request) -> Delta:
        token_ids = self._codec.encode(self._text)
        middle = Middle(
            token_bytes=[self._text.encode()],
            stop=request.stop,
            max_new_tokens=1,
            n_healing_bytes=0,
        )
        reason = middle.take(TokenId(0), 0.0) if token_ids else None
        if request.request_id in self._cancelled:
            reason = FinishReason.CANCELLED
        is_cut = reason in (FinishReason.STOP_RULE, FinishReason.CANCELLED)
        finish = Finish(
            reason=reason if is_cut and reason else FinishReason.END_TOKEN,
            text=middle.text,
            tokens=tuple(middle.tokens),
            n_prompt_tokens=len(request.prompt.token_ids),
            n_reused_tokens=0,
            queue_ms=0.0,
            prefill_ms=0.0,
            decode_ms=0.0,
        )
        return Delta(request_id=request.request_id, text=middle.text, finish=finish)


def _conforms(engine: ConstantEngine) -> Engine:
    return engine
