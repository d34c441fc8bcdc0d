"""What engines share that run no network: an identity, a lent tokenizer, nothing computed or held.

Owns these plain answers and the last word on a row. What is written is the engines' own.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import (
    Delta,
    EngineHoldings,
    EngineWork,
    Finish,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
    TextCodec,
)

__all__ = ["WithoutNetwork", "last_delta"]

CodecT = TypeVar("CodecT", bound=TextCodec)


def last_delta(request: Request, middle: Middle, reason: FinishReason) -> Delta:
    """All that a row wrote, in one piece: no network computed it, so no time is told."""
    finish = Finish(
        reason=reason,
        text=middle.text,
        tokens=tuple(middle.tokens),
        n_prompt_tokens=len(request.prompt.token_ids),
        n_reused_tokens=0,
        queue_ms=0.0,
        prefill_ms=0.0,
        decode_ms=0.0,
    )
    return Delta(request_id=request.request_id, text=middle.text, finish=finish)


class WithoutNetwork(Generic[CodecT]):
    """The part of `Engine` that such engines have alike; `codec` is a lent tokenizer's."""

    def __init__(self, *, codec: CodecT, model: ModelInfo) -> None:
        self._codec = codec
        self._model = model
        self._cancelled: set[RequestId] = set()

    @property
    def model(self) -> ModelInfo:
        """What the answers go by."""
        return self._model

    @property
    def codec(self) -> CodecT:
        """The tokenizer in whose words it counts."""
        return self._codec

    @property
    def work(self) -> EngineWork:
        """Nothing is computed."""
        return EngineWork()

    @property
    def holdings(self) -> EngineHoldings:
        """Nothing that is worth counting."""
        return EngineHoldings()

    def cancel(self, request_id: RequestId) -> None:
        """End a row with the next step."""
        self._cancelled.add(request_id)
