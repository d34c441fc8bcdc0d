"""An engine that always writes the same: the baseline that needs no reading at all.

Owns nothing but the text. Prompts, stop rules and budgets are obeyed as by any engine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from fimble_eval.rivals.without_network import WithoutNetwork, last_delta
from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import (
    Delta,
    Engine,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
    TextCodec,
    TokenId,
)

__all__ = ["ConstantEngine"]


class ConstantEngine(WithoutNetwork[TextCodec]):
    """Implements `Engine`; every row is done in one step."""

    def __init__(self, text: str, *, codec: TextCodec, model: ModelInfo) -> None:
        super().__init__(codec=codec, model=model)
        self._text = text
        self._waiting: OrderedDict[RequestId, Request] = OrderedDict()

    @property
    def has_work(self) -> bool:
        """True while a row waits."""
        return bool(self._waiting)

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._waiting[request.request_id] = request

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
        kept = reason if is_cut and reason else FinishReason.END_TOKEN
        return last_delta(request, middle, kept)


def _conforms(engine: ConstantEngine) -> Engine:
    return engine
