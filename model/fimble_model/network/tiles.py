"""Attention over cached slots on the CPU, with the same bits however a row is cut into passes.

Owns the tiles. Kernels add in another order for another shape, and for memory that is aligned in
another way; one last bit of difference is enough to move an int8 activation by a whole level, and
now and then a token. So every product here has a shape, and an alignment, that follow from a
token's position alone, and never from which tokens came along in the same pass.

    tile    a few tokens at fixed positions, times the query heads that share a key head: 8 rows
    block   64 slots; every tile in it attends over all slots up to the block's end, masked

Knows nothing of caches: it is handed one row's buffers.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

__all__ = ["BLOCK_SLOTS", "attend_in_tiles"]

BLOCK_SLOTS = 64

# 8 float32 rows end on a 64-byte line for any even number of columns.
_ROWS = 8
_LEAST_TABLE_SLOTS = 512


class _Tiling(NamedTuple):
    """How tokens fill tiles: token by token, within a token head by head, then filler rows."""

    n_heads_per_key: int
    n_tile_tokens: int
    n_used_rows: int
    n_rows: int


def attend_in_tiles(
    q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int, window: int | None = None
) -> Tensor:
    """What `attend_cached` promises, for float32 on the CPU. I counts tiles, R a tile's rows."""
    n_tokens, n_query_heads, head_size = q_THD.shape
    n_key_heads = k_KSD.shape[0]
    tiling = _plan_tiling(n_query_heads // n_key_heads)
    first_tile, n_before = divmod(n_cached, tiling.n_tile_tokens)
    n_tiles = -(-(n_before + n_tokens) // tiling.n_tile_tokens)
    q_IKRD = q_THD.new_zeros(n_tiles, n_key_heads, tiling.n_rows, head_size)
    q_TKGD = q_THD.reshape(n_tokens, n_key_heads, tiling.n_heads_per_key, head_size)
    if n_tiles > 1:
        n_after = n_tiles * tiling.n_tile_tokens - n_before - n_tokens
        q_TKGD = pad(q_TKGD, (0, 0, 0, 0, 0, 0, n_before, n_after))
        _tokens_of(q_IKRD, tiling).copy_(
            q_TKGD.view(n_tiles, tiling.n_tile_tokens, *q_TKGD.shape[1:])
        )
    else:
        # Decoding: a stretch of one tile, which needs no padding.
        _tokens_of(q_IKRD, tiling)[0, n_before : n_before + n_tokens].copy_(q_TKGD)
    o_IKRD = _attend_blocks(q_IKRD, k_KSD, v_KSD, first_tile, tiling, window)
    o_ITKGD = _tokens_of(o_IKRD, tiling)
    if n_tiles > 1:
        return o_ITKGD.reshape(-1, n_query_heads, head_size)[n_before : n_before + n_tokens]
    return o_ITKGD[0, n_before : n_before + n_tokens].reshape(q_THD.shape)


@functools.cache
def _plan_tiling(n_heads_per_key: int) -> _Tiling:
    # A power of two for every number of heads, so that tiles divide a block.
    n_tile_tokens = max(1, _ROWS // n_heads_per_key)
    n_used_rows = n_tile_tokens * n_heads_per_key
    return _Tiling(n_heads_per_key, n_tile_tokens, n_used_rows, -(-n_used_rows // _ROWS) * _ROWS)


def _tokens_of(x_IKRD: Tensor, tiling: _Tiling) -> Tensor:
    """A view of the tiles' rows as `x_ITKGD`, without the filler."""
    n_tiles, n_key_heads, _, head_size = x_IKRD.shape
    x_IKTGD = x_IKRD[:, :, : tiling.n_used_rows].view(
        n_tiles, n_key_heads, tiling.n_tile_tokens, tiling.n_heads_per_key, head_size
    )
    return x_IKTGD.transpose(1, 2)


def _attend_blocks(
    q_IKRD: Tensor,
    k_KSD: Tensor,
    v_KSD: Tensor,
    first_tile: int,
    tiling: _Tiling,
    window: int | None,
) -> Tensor:
    n_block_tiles = BLOCK_SLOTS // tiling.n_tile_tokens
    n_tiles = q_IKRD.shape[0]
    outputs = []
    start = 0
    while start < n_tiles:
        block_index, tile_in_block = divmod(first_tile + start, n_block_tiles)
        n_here = min(n_tiles - start, n_block_tiles - tile_in_block)
        n_slots = (block_index + 1) * BLOCK_SLOTS
        n_seen = n_slots if window is None else min(n_slots, _reach(window))
        mask_I1RS = _build_mask(tiling, _table_slots(n_seen), window)
        outputs.append(
            scaled_dot_product_attention(
                q_IKRD[start : start + n_here],
                _slots(k_KSD, n_slots, n_seen).expand(n_here, -1, -1, -1),
                _slots(v_KSD, n_slots, n_seen).expand(n_here, -1, -1, -1),
                attn_mask=mask_I1RS[tile_in_block : tile_in_block + n_here, ..., -n_seen:],
            )
        )
        start += n_here
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _reach(window: int) -> int:
    """Slots of the blocks that some token of a block sees through a window, its own included."""
    return BLOCK_SLOTS + -(-(window - 1) // BLOCK_SLOTS) * BLOCK_SLOTS


def _slots(x_KSD: Tensor, end: int, n_slots: int) -> Tensor:
    """Slots [end - n_slots, end), zeros where the buffer has none."""
    n_missing = end - x_KSD.shape[1]
    x_KSD = x_KSD[:, end - n_slots : end]
    return pad(x_KSD, (0, 0, 0, n_missing)) if n_missing > 0 else x_KSD


def _table_slots(n_slots: int) -> int:
    """The next power of two, so that few mask tables are made as a row grows."""
    return max(_LEAST_TABLE_SLOTS, 1 << (n_slots - 1).bit_length())


@functools.lru_cache(maxsize=8)
def _build_mask(tiling: _Tiling, n_slots: int, window: int | None) -> Tensor:
    """What each tile of a row's last block adds to its scores: `mask_I1RS`, 0 or -inf.

    What is hidden follows from the distance to the block's end alone, so the last n slots of one
    table serve every shorter row.
    """
    n_before = n_slots - BLOCK_SLOTS
    hidden_TS = torch.ones(BLOCK_SLOTS, n_slots, dtype=torch.bool).triu_(n_before + 1)
    if window is not None:
        hidden_TS |= torch.ones_like(hidden_TS).tril_(n_before - window)
    mask_TS = torch.zeros(BLOCK_SLOTS, n_slots).masked_fill_(hidden_TS, -torch.inf)
    mask_RS = mask_TS.repeat_interleave(tiling.n_heads_per_key, dim=0)
    mask_IRS = mask_RS.view(-1, tiling.n_used_rows, n_slots)
    # Filler rows see everything: a row that sees nothing would be a row of NaN.
    return pad(mask_IRS, (0, 0, 0, tiling.n_rows - tiling.n_used_rows))[:, None]
