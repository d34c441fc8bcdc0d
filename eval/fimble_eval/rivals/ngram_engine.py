"""The project memory with no network behind it: what copying alone is worth.

Owns the rows; the memory, its mixing and the middle's ends are the product's own. Where no
document continues the text it ends, because the memory knows of no end by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fimble_eval.rivals.without_network import WithoutNetwork, last_delta
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.memories import Memories
from fimble_model.engine.memory import MemoryView
from fimble_model.engine.memory_files import load_segments
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import (
    Delta,
    Engine,
    FinishReason,
    ModelInfo,
    Prompt,
    Request,
    RequestId,
    TokenId,
)
from fimble_model.engine.sampling import draw, new_generator

__all__ = ["NgramEngine"]


@dataclass(slots=True, kw_only=True)
class _Row:
    """`known` is the text's last tokens; `unspelled` what is left of the healing text."""

    request: Request
    view: MemoryView
    middle: Middle
    known: list[TokenId]
    unspelled: bytes
    generator: torch.Generator | None


class NgramEngine(WithoutNetwork[FimCodec]):
    """Implements `Engine`. Each step draws one token of every row."""

    def __init__(self, *, codec: FimCodec, model: ModelInfo) -> None:
        super().__init__(codec=codec, model=model)
        self._memories = Memories(lambda text: codec.tokenizer.encode_words_inside(text).token_ids)
        self._rows: dict[RequestId, _Row] = {}
        self._control_ids = np.array(sorted(set(codec.tokenizer.control_ids.values())))
        self._uniform_V = torch.full((model.vocabulary_size,), -math.log(model.vocabulary_size))

    @property
    def has_work(self) -> bool:
        """True while a row runs."""
        return bool(self._rows)

    def add(self, request: Request) -> None:
        """Start a row with the memory as it is now."""
        scope = request.memory_scope
        unspelled = request.prompt.healing_text.encode()
        self._rows[request.request_id] = _Row(
            request=request,
            view=MemoryView() if scope is None else self._memories.view(scope, request.memory_key),
            middle=Middle(
                token_bytes=self._codec.tokenizer.token_bytes,
                stop=request.stop,
                max_new_tokens=request.max_new_tokens,
                n_healing_bytes=len(unspelled),
                min_confidence=request.min_confidence,
            ),
            known=list(request.prompt.context_ids),
            unspelled=unspelled,
            generator=new_generator(request.sampling),
        )

    def remember(self, scope: str, key: str, text: str) -> None:
        """Keep a document for the rows of a scope."""
        self._memories.remember(scope, key, text)

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Keep documents that were indexed elsewhere."""
        self._memories.take_stored(scope, load_segments(files, self._model.vocabulary_size))

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a document, or all of a scope's."""
        self._memories.forget(scope, key)

    def score(self, prompt: Prompt, token_ids: Sequence[TokenId]) -> Tensor:
        """Without its memory it knows nothing: every token is as likely as any other."""
        del prompt
        return self._uniform_V.repeat(len(token_ids), 1)

    def memory_of(self, scope: str, key: str | None = None) -> MemoryView:
        """What a row in this document would copy from, as it is now."""
        return self._memories.view(scope, key)

    def step(self) -> list[Delta]:
        """One more token of every row."""
        deltas: list[Delta] = []
        for request_id, row in list(self._rows.items()):
            is_cancelled = request_id in self._cancelled
            reason = FinishReason.CANCELLED if is_cancelled else self._advance(row)
            if reason is not None:
                del self._rows[request_id]
                deltas.append(last_delta(row.request, row.middle, reason))
        self._cancelled.clear()
        return deltas

    def _logprobs(self, view: MemoryView, context: list[TokenId]) -> tuple[Tensor, bool]:
        matches = view.find(context)
        if matches is None:
            return self._uniform_V, False
        return blend(self._uniform_V, matches, self._control_ids), True

    def _advance(self, row: _Row) -> FinishReason | None:
        logprobs_V, is_known = self._logprobs(row.view, row.known)
        if row.unspelled:
            return self._spell(row, logprobs_V)
        if not is_known:
            return FinishReason.END_TOKEN
        return self._take(
            row, TokenId(draw(logprobs_V, row.request.sampling, row.generator)), logprobs_V
        )

    def _spell(self, row: _Row, logprobs_V: Tensor) -> FinishReason | None:
        """The likeliest token that agrees with the healing text; else the text's own tokens."""
        token_bytes = self._codec.tokenizer.token_bytes
        known = (logprobs_V > self._uniform_V).nonzero().flatten().tolist()
        fitting = [
            token_id
            for token_id in known
            if (written := token_bytes[token_id])
            and (row.unspelled.startswith(written) or written.startswith(row.unspelled))
        ]
        if not fitting:
            for token_id in self._codec.encode(row.unspelled.decode("utf-8", "ignore")):
                row.middle.spell(token_id)
                row.known.append(token_id)
            row.unspelled = b""
            return None
        best = TokenId(max(fitting, key=lambda token_id: float(logprobs_V[token_id])))
        n_spelled = len(token_bytes[best])
        if n_spelled > len(row.unspelled):
            row.unspelled = b""
            return self._take(row, best, logprobs_V)
        row.unspelled = row.unspelled[n_spelled:]
        row.middle.spell(best)
        row.known.append(best)
        return None

    def _take(self, row: _Row, token_id: TokenId, logprobs_V: Tensor) -> FinishReason | None:
        row.known.append(token_id)
        return row.middle.take(token_id, float(logprobs_V[token_id]))


def _conforms(engine: NgramEngine) -> Engine:
    return engine
