"""A pass over long pieces of rows, laid end to end and computed eagerly: prompts, and scoring.

Owns the positions, slots and pages of such a pass on the device. Never draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS, n_pages_for
from fimble_model.engine.pieces import Piece
from fimble_model.gpu import operations
from fimble_model.gpu.card import Card
from fimble_model.gpu.decoder import FusedDecoder
from fimble_model.gpu.pool import GpuPool

__all__ = ["run_prefill"]


class _Span(NamedTuple):
    """Tokens [start, end) of the pass belong to a row, after its `n_cached` slots."""

    start: int
    end: int
    n_cached: int
    pages_P: Tensor


def run_prefill(
    decoder: FusedDecoder, pool: GpuPool, card: Card, pieces: Sequence[Piece]
) -> list[Tensor]:
    """Each piece's `logprobs_LV`, on the device and not waited for. Extends no row."""
    ids, positions, slots, loud = _lay_out(pieces)
    ids_N, positions_N, slots_N = _to_card(card, [ids, positions, slots]).view(3, -1)
    n_tokens = len(ids)
    spans = _spans(card, pieces)

    def attend(layer_index: int, q_NHD: Tensor) -> Tensor:
        keys_PSKD = pool.keys_LPSKD[layer_index]
        values_PSKD = pool.values_LPSKD[layer_index]
        outputs = []
        for span in spans:
            n_slots = span.n_cached + span.end - span.start
            k_SKD = keys_PSKD.index_select(0, span.pages_P).flatten(0, 1)[:n_slots]
            v_SKD = values_PSKD.index_select(0, span.pages_P).flatten(0, 1)[:n_slots]
            q_THD = q_NHD[span.start : span.end]
            outputs.append(operations.attend_prefill(q_THD, k_SKD, v_SKD, span.n_cached))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    hidden_NE = decoder.hidden(ids_N, positions_N, slots_N, attend)
    n_loud = [piece.n_loud for piece in pieces]
    if not loud:
        empty = hidden_NE.new_empty(0, decoder.config.vocabulary_size, dtype=torch.float32)
        return [empty] * len(pieces)
    if len(loud) < n_tokens:
        hidden_NE = hidden_NE.index_select(0, _to_card(card, [loud]))
    return list(torch.split(decoder.logprobs(hidden_NE), n_loud))


class _Layout(NamedTuple):
    """Of each token its id, position and slot; and the places of those that are loud."""

    ids: list[int]
    positions: list[int]
    slots: list[int]
    loud: list[int]


def _lay_out(pieces: Sequence[Piece]) -> _Layout:
    layout = _Layout([], [], [], [])
    for piece in pieces:
        start, n_cached = len(layout.ids), len(piece.row.token_ids)
        end = start + len(piece.token_ids)
        layout.ids.extend(piece.token_ids)
        layout.positions.extend(range(n_cached, n_cached + end - start))
        layout.slots.extend(
            piece.row.pages[position // PAGE_SLOTS] * PAGE_SLOTS + position % PAGE_SLOTS
            for position in layout.positions[start:]
        )
        layout.loud.extend(range(start + piece.n_silent, end))
    return layout


def _spans(card: Card, pieces: Sequence[Piece]) -> list[_Span]:
    """Each row's place, and the pages that its slots after the pass lie in."""
    ends = [len(piece.row.token_ids) + len(piece.token_ids) for piece in pieces]
    pages = [
        piece.row.pages[: n_pages_for(n_slots)] for piece, n_slots in zip(pieces, ends, strict=True)
    ]
    parts = torch.split(_to_card(card, pages), [len(some) for some in pages])
    spans: list[_Span] = []
    start = 0
    for piece, pages_P in zip(pieces, parts, strict=True):
        end = start + len(piece.token_ids)
        spans.append(_Span(start, end, len(piece.row.token_ids), pages_P))
        start = end
    return spans


def _to_card(card: Card, columns: Sequence[Sequence[int]]) -> Tensor:
    """Numbers end to end, copied without waiting from memory that lives until they are."""
    numbers = [number for column in columns for number in column]
    if card.device.type == "cpu":
        return torch.tensor(numbers, dtype=torch.int64)
    # Torch's allocator of pinned memory hands none out again before the copies from it are done.
    pinned = torch.tensor(numbers, dtype=torch.int64, pin_memory=True)
    return pinned.to(card.device, non_blocking=True)
