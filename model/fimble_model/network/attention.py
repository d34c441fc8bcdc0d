"""Attention back ends: where a layer hands its queries, keys and values, and gets outputs.

Owns the `Attend` seam, the dense causal form for training, and the one pure function that
attends over cached slots. Never keeps keys or values itself: whoever implements `Attend` does.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["BLOCK_SLOTS", "Attend", "DenseCausal", "attend_cached"]


class Attend(Protocol):
    """Called once per layer, in layer order, after rotary. It owns where k and v are kept."""

    def __call__(self, layer_index: int, q_NHD: Tensor, k_NKD: Tensor, v_NKD: Tensor) -> Tensor:
        """Attention outputs `o_NHD` for the N tokens of the pass, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCausal:
    """Causal attention over rows of equal length, laid end to end, with nothing cached."""

    n_rows: int
    n_tokens: int

    def __call__(self, layer_index: int, q_NHD: Tensor, k_NKD: Tensor, v_NKD: Tensor) -> Tensor:
        """Each token sees itself and the tokens before it in its own row."""
        o_BHTD = functional.scaled_dot_product_attention(
            self._rows(q_NHD),
            self._rows(k_NKD),
            self._rows(v_NKD),
            is_causal=True,
            enable_gqa=q_NHD.shape[1] != k_NKD.shape[1],
        )
        return o_BHTD.transpose(1, 2).reshape(q_NHD.shape)

    def _rows(self, x_NHD: Tensor) -> Tensor:
        return x_NHD.reshape(self.n_rows, self.n_tokens, *x_NHD.shape[1:]).transpose(1, 2)


BLOCK_SLOTS = 64


def attend_cached(q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int) -> Tensor:
    """Outputs `o_THD` of one row's T new tokens over its slots [0, n_cached + T).

        [0, n_cached)             slots of earlier tokens, seen by every new token
        [n_cached, n_cached + T)  slots of the new tokens; token t sees up to n_cached + t
        [n_cached + T, S)         unused: never seen, but must hold finite numbers

    Pass the whole buffer: with S a multiple of `BLOCK_SLOTS` nothing is copied. On the CPU in
    float32 a token's output has the same bits however its row is cut into passes.
    """
    if q_THD.device.type == "cpu" and q_THD.dtype == torch.float32:
        return _attend_in_tiles(q_THD, k_KSD, v_KSD, n_cached)
    return _attend_whole(q_THD, k_KSD, v_KSD, n_cached)


def _attend_whole(q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int) -> Tensor:
    n_tokens = q_THD.shape[0]
    n_slots = n_cached + n_tokens
    mask_TS = None
    if n_tokens > 1:
        mask_TS = q_THD.new_ones(n_tokens, n_slots, dtype=torch.bool).tril_(n_cached)
    o_HTD = functional.scaled_dot_product_attention(
        q_THD.transpose(0, 1)[None],
        k_KSD[None, :, :n_slots],
        v_KSD[None, :, :n_slots],
        attn_mask=mask_TS,
        enable_gqa=q_THD.shape[1] != k_KSD.shape[0],
    )[0]
    return o_HTD.transpose(0, 1)


def _attend_in_tiles(q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int) -> Tensor:
    """Attend tile by tile, so that every product a token takes part in has one fixed shape.

    A tile is a few tokens at fixed positions, times the query heads that share a key head,
    filled up to whole rows of 8. All tiles of a block of 64 slots see the same number of slots:
    the block's end. Kernels sum in another order for another shape, and for rows that are not
    aligned to 64 bytes; here neither depends on which tokens came in this pass.
    """
    n_tokens, n_query_heads, head_size = q_THD.shape
    n_key_heads = k_KSD.shape[0]
    n_heads_per_key = n_query_heads // n_key_heads
    n_tile_tokens = max(1, _TILE_ROWS // n_heads_per_key)
    n_rows = n_tile_tokens * n_heads_per_key
    n_filler_rows = -n_rows % _TILE_ROWS
    first = n_cached // n_tile_tokens * n_tile_tokens
    n_before, n_after = n_cached - first, -(n_cached + n_tokens) % n_tile_tokens
    if n_before or n_after:
        q_THD = functional.pad(q_THD, (0, 0, 0, 0, n_before, n_after))
    # I counts tiles, R the rows of one: token by token, and within a token head by head.
    q_IRKGD = q_THD.view(-1, n_tile_tokens, n_key_heads, n_heads_per_key, head_size)
    q_IKRD = q_IRKGD.transpose(1, 2).reshape(-1, n_key_heads, n_rows, head_size)
    if n_filler_rows:
        q_IKRD = functional.pad(q_IKRD, (0, 0, 0, n_filler_rows))
    o_IKRD = _attend_blocks(q_IKRD, k_KSD, v_KSD, first // n_tile_tokens, n_heads_per_key)
    o_IKRGD = o_IKRD[:, :, :n_rows].reshape(
        -1, n_key_heads, n_tile_tokens, n_heads_per_key, head_size
    )
    o_THD = o_IKRGD.transpose(1, 2).reshape(-1, n_query_heads, head_size)
    return o_THD[n_before : n_before + n_tokens]


def _attend_blocks(
    q_IKRD: Tensor, k_KSD: Tensor, v_KSD: Tensor, first_tile: int, n_heads_per_key: int
) -> Tensor:
    n_block_tiles = BLOCK_SLOTS // max(1, _TILE_ROWS // n_heads_per_key)
    n_tiles = q_IKRD.shape[0]
    outputs = []
    start = 0
    while start < n_tiles:
        block_index, tile_in_block = divmod(first_tile + start, n_block_tiles)
        end = min(n_tiles, start + n_block_tiles - tile_in_block)
        n_slots = (block_index + 1) * BLOCK_SLOTS
        mask_I1RS = _mask(n_heads_per_key, _table_slots(n_slots))
        outputs.append(
            functional.scaled_dot_product_attention(
                q_IKRD[start:end],
                _first_slots(k_KSD, n_slots).expand(end - start, -1, -1, -1),
                _first_slots(v_KSD, n_slots).expand(end - start, -1, -1, -1),
                attn_mask=mask_I1RS[tile_in_block : tile_in_block + end - start, ..., -n_slots:],
            )
        )
        start = end
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _first_slots(x_KSD: Tensor, n_slots: int) -> Tensor:
    n_missing = n_slots - x_KSD.shape[1]
    if n_missing > 0:
        return functional.pad(x_KSD, (0, 0, 0, n_missing))
    return x_KSD[:, :n_slots]


def _table_slots(n_slots: int) -> int:
    """The next power of two, so that few mask tables are made as a row grows."""
    return max(_LEAST_TABLE_SLOTS, 1 << (n_slots - 1).bit_length())


@functools.lru_cache(maxsize=8)
def _mask(n_heads_per_key: int, n_slots: int) -> Tensor:
    """What each tile of a row's last block adds to its scores: `mask_I1RS`, 0 or -inf.

    Only the last 64 slots are ever hidden, so the last n slots of one table serve every
    shorter row.
    """
    hidden_SS = torch.ones(BLOCK_SLOTS, BLOCK_SLOTS, dtype=torch.bool).triu_(1)
    mask_TS = torch.zeros(BLOCK_SLOTS, n_slots)
    mask_TS[:, -BLOCK_SLOTS:].masked_fill_(hidden_SS, -torch.inf)
    n_tile_tokens = max(1, _TILE_ROWS // n_heads_per_key)
    mask_IRS = mask_TS.repeat_interleave(n_heads_per_key, dim=0).view(
        -1, n_tile_tokens * n_heads_per_key, n_slots
    )
    # Filler rows see everything: a row that sees nothing would be a row of NaN.
    n_filler_rows = -mask_IRS.shape[1] % _TILE_ROWS
    return functional.pad(mask_IRS, (0, 0, 0, n_filler_rows))[:, None]


# Rows of a tile: 8 float32 rows end on a 64-byte line for any even number of columns.
_TILE_ROWS = 8
_LEAST_TABLE_SLOTS = 512
