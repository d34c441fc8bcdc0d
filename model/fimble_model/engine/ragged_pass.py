"""One pass of the network over tokens of many rows, laid end to end.

Owns the choice between the native kernels' pass and torch's, and the `Attend` that keeps keys and
values in the rows' pages. Never chooses tokens or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.kv_cache import KvPool
from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.engine.pieces import Answer, Piece
from fimble_model.network.attention import attend_cached
from fimble_model.network.native.network import PassRow
from fimble_model.network.transformer import Transformer

__all__ = ["Piece", "RaggedRunner", "run_pass"]


class RaggedRunner:
    """Implements `PassRunner` by the native kernels where they serve, else by torch."""

    grants_wishes = False

    def __init__(self, transformer: Transformer, pool: KvPool) -> None:
        self._transformer = transformer
        self._pool = pool

    def run(self, pieces: Sequence[Piece]) -> list[Answer]:
        """Every answer is `logprobs_LV`."""
        return list(run_pass(self._transformer, self._pool, pieces))

    def run_on(self, rows: Sequence[Any], uniforms: Sequence[float]) -> None:
        """It draws nothing, so nothing is at hand."""

    def give_way(self) -> None:
        """On a GPU, hand back what torch keeps for later."""
        if self._pool.layout.device.type == "cuda":
            torch.cuda.empty_cache()

    def rest(self) -> None:
        """Nothing waits for such a moment."""


def run_pass(transformer: Transformer, pool: KvPool, pieces: Sequence[Piece]) -> list[Tensor]:
    """Compute the pieces, extend their rows, and give each piece's `logprobs_LV` in float32.

    L counts the piece's tokens that are not silent; it may be 0. `pool` holds the rows' pages.
    """
    for piece in pieces:
        piece.row.prepare(len(piece.token_ids))
    if transformer.native is not None:
        logprobs_NV = transformer.native.run_pass(
            [PassRow(p.token_ids, len(p.row.token_ids), p.n_silent, p.row.pages) for p in pieces],
            pool.keys_LPKDS,
            pool.values_LPKSD,
        )
    else:
        logprobs_NV = _run_torch_pass(transformer, pool, pieces)
    for piece in pieces:
        piece.row.extend(piece.token_ids)
    if len(pieces) == 1:
        return [logprobs_NV]
    return list(torch.split(logprobs_NV, [piece.n_loud for piece in pieces]))


def _run_torch_pass(transformer: Transformer, pool: KvPool, pieces: Sequence[Piece]) -> Tensor:
    device = pool.layout.device
    token_ids = [token_id for piece in pieces for token_id in piece.token_ids]
    spans = _spans(pieces, device)
    loud = [
        index
        for span, piece in zip(spans, pieces, strict=True)
        for index in range(span.start + piece.n_silent, span.end)
    ]
    hidden_NE: Tensor = transformer(
        torch.tensor(token_ids, device=device),
        torch.cat([span.positions_T for span in spans]),
        _RaggedAttend(pool, spans),
    )
    if not loud:
        return hidden_NE.new_empty(0, transformer.config.vocabulary_size, dtype=torch.float32)
    if len(loud) < len(token_ids):
        hidden_NE = hidden_NE[loud]
    return transformer.logits(hidden_NE).log_softmax(dim=-1)


class _Span(NamedTuple):
    """Tokens [start, end) of the pass belong to a row, after its `n_cached` slots."""

    start: int
    end: int
    n_cached: int
    pages_P: Tensor
    positions_T: Tensor


def _spans(pieces: Sequence[Piece], device: torch.device) -> list[_Span]:
    spans: list[_Span] = []
    start = 0
    for piece in pieces:
        end = start + len(piece.token_ids)
        n_cached = len(piece.row.token_ids)
        pages_P = torch.tensor(piece.row.pages, device=device)
        positions_T = torch.arange(n_cached, n_cached + end - start, device=device)
        spans.append(_Span(start, end, n_cached, pages_P, positions_T))
        start = end
    return spans


class _RaggedAttend:
    """Implements `Attend`: writes new keys and values to their slots, then attends row by row."""

    def __init__(self, pool: KvPool, spans: Sequence[_Span]) -> None:
        self._pool = pool
        self._spans = spans
        self._places = [
            (span.pages_P[span.positions_T // PAGE_SLOTS], span.positions_T % PAGE_SLOTS)
            for span in spans
        ]

    def __call__(
        self,
        layer_index: int,
        q_NHD: Tensor,
        k_NKD: Tensor,
        v_NKD: Tensor,
        window: int | None = None,
    ) -> Tensor:
        outputs = []
        for span, (pages_T, slots_T) in zip(self._spans, self._places, strict=True):
            here = slice(span.start, span.end)
            self._pool.write(layer_index, pages_T, slots_T, k_NKD[here], v_NKD[here])
            n_slots = span.n_cached + span.end - span.start
            k_KSD, v_KSD = self._pool.gather(layer_index, span.pages_P, n_slots)
            k_KSD, v_KSD = k_KSD.to(q_NHD.dtype), v_KSD.to(q_NHD.dtype)
            outputs.append(attend_cached(q_NHD[here], k_KSD, v_KSD, span.n_cached, window))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
