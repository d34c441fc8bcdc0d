"""One pass of the network over tokens of many rows, laid end to end.

Owns the `Attend` that keeps keys and values in the rows' caches. Never chooses tokens or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.kv_cache import KvRow
from fimble_model.engine.protocol import TokenId
from fimble_model.network.attention import attend_cached
from fimble_model.network.cost import RowShape
from fimble_model.network.transformer import Transformer

__all__ = ["Piece", "run_pass"]


class Piece(NamedTuple):
    """A row's next tokens. Those from `n_silent` on are asked for their log-probabilities."""

    row: KvRow
    token_ids: list[TokenId]
    n_silent: int

    @property
    def shape(self) -> RowShape:
        """Its sizes, before the pass that computes it."""
        n_tokens = len(self.token_ids)
        return RowShape(n_tokens, len(self.row.token_ids), n_tokens - self.n_silent)


def run_pass(transformer: Transformer, pieces: Sequence[Piece]) -> list[Tensor]:
    """Compute the pieces, extend their rows, and give each piece's `logprobs_LV` in float32.

    L counts the piece's tokens that are not silent; it may be 0.
    """
    device = pieces[0].row.layers[0][0].device
    token_ids = [token_id for piece in pieces for token_id in piece.token_ids]
    spans = _spans(pieces)
    position_ids = [
        position
        for span in spans
        for position in range(span.n_cached, span.n_cached + span.end - span.start)
    ]
    loud = [
        index
        for span, piece in zip(spans, pieces, strict=True)
        for index in range(span.start + piece.n_silent, span.end)
    ]
    hidden_NE = transformer(
        torch.tensor(token_ids, device=device),
        torch.tensor(position_ids, device=device),
        _RaggedAttend(spans),
    )
    for piece in pieces:
        piece.row.extend(piece.token_ids)
    if len(loud) < len(token_ids):
        hidden_NE = hidden_NE[loud]
    if not loud:
        return [hidden_NE.new_empty(0, 0) for _ in pieces]
    logprobs_NV = transformer.logits(hidden_NE).log_softmax(dim=-1)
    n_loud = [len(piece.token_ids) - piece.n_silent for piece in pieces]
    return list(torch.split(logprobs_NV, n_loud))


class _Span(NamedTuple):
    """Tokens [start, end) of the pass belong to `row`, after its `n_cached` slots."""

    row: KvRow
    start: int
    end: int
    n_cached: int


def _spans(pieces: Sequence[Piece]) -> list[_Span]:
    spans: list[_Span] = []
    start = 0
    for piece in pieces:
        end = start + len(piece.token_ids)
        spans.append(_Span(piece.row, start, end, len(piece.row.token_ids)))
        start = end
    return spans


class _RaggedAttend:
    """Implements `Attend`: writes new keys and values to their slots, then attends row by row."""

    def __init__(self, spans: Sequence[_Span]) -> None:
        self._spans = spans

    def __call__(self, layer_index: int, q_NHD: Tensor, k_NKD: Tensor, v_NKD: Tensor) -> Tensor:
        k_KND, v_KND = k_NKD.transpose(0, 1), v_NKD.transpose(0, 1)
        outputs = []
        for row, start, end, n_cached in self._spans:
            k_KSD, v_KSD = row.layers[layer_index]
            n_slots = n_cached + end - start
            k_KSD[:, n_cached:n_slots] = k_KND[:, start:end]
            v_KSD[:, n_cached:n_slots] = v_KND[:, start:end]
            outputs.append(attend_cached(q_NHD[start:end], k_KSD, v_KSD, n_cached))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
