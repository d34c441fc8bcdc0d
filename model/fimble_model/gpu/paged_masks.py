"""Attention over pages by xformers: its paged masks and its Triton split-K kernel.

Owns the making of such a mask over our tables and lengths, and when xformers can be asked. The
mask is made for a table's whole width, so that its grid is fixed and a CUDA graph holds it; the
true lengths are read from the device.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
from typing import Any

import torch
from torch import Tensor

__all__ = ["attend_paged", "build_mask", "flatten_pages", "has_xformers", "serves"]

_HEAD_SIZES = frozenset((16, 32, 64, 128, 256, 512))
_MOST_TOKENS = 16
_TYPES = (torch.bfloat16, torch.float16)


@functools.cache
def has_xformers() -> bool:
    """Whether xformers and Triton are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("xformers", "triton"))


def serves(q_BTHD: Tensor, keys_PSKD: Tensor) -> bool:
    """Whether xformers has a kernel for such queries over such pages."""
    return (
        q_BTHD.is_cuda
        and q_BTHD.dtype in _TYPES
        and keys_PSKD.dtype == q_BTHD.dtype
        and q_BTHD.shape[1] <= _MOST_TOKENS
        and q_BTHD.shape[3] in _HEAD_SIZES
        and has_xformers()
    )


def flatten_pages(pool_PSKD: Tensor, n_query_heads: int) -> Tensor:
    """A pool as xformers wants it, `[1, P * S, K, G, D]`, the query heads' copies free of cost."""
    n_pages, page_slots, n_key_heads, head_size = pool_PSKD.shape
    group = n_query_heads // n_key_heads
    flat = pool_PSKD.view(1, n_pages * page_slots, n_key_heads, 1, head_size)
    return flat.expand(-1, -1, -1, group, -1)


def build_mask(tables_BP: Tensor, lengths_B: Tensor, n_tokens: int, page_slots: int) -> Any:
    """The mask of rows with `n_tokens` queries each at the ends of their `lengths_B` slots.

    Never waits for the device. A padding row of no length sees as many slots as it has tokens:
    xformers cannot weigh nothing, and nobody reads what comes of it.
    """
    from xformers.ops.fmha.attn_bias import PagedBlockDiagonalCausalWithOffsetPaddedKeysMask

    n_rows, n_table = tables_BP.shape
    mask = PagedBlockDiagonalCausalWithOffsetPaddedKeysMask.from_seqlens(
        q_seqlen=[n_tokens] * n_rows,
        kv_seqlen=[n_table * page_slots] * n_rows,
        block_tables=tables_BP,
        page_size=page_slots,
        device=tables_BP.device,
    )
    mask.k_seqinfo.seqlen = lengths_B.clamp_min(n_tokens).to(torch.int32)
    return mask


def attend_paged(
    q_BTHD: Tensor,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    tables_BP: Tensor,
    lengths_B: Tensor,
    scale: float,
) -> Tensor:
    """See `reference.attend_paged`; what a token that sees nothing gets is not zero."""
    from xformers.ops import fmha

    n_rows, n_tokens, n_query_heads, head_size = q_BTHD.shape
    page_slots, n_key_heads = keys_PSKD.shape[1:3]
    mask = _cached_mask(tables_BP, lengths_B, n_tokens, page_slots)
    group = n_query_heads // n_key_heads
    out = fmha.memory_efficient_attention_forward(
        q_BTHD.reshape(1, n_rows * n_tokens, n_key_heads, group, head_size),
        flatten_pages(keys_PSKD, n_query_heads),
        flatten_pages(values_PSKD, n_query_heads),
        attn_bias=mask,
        scale=scale,
        op=fmha.triton_splitk.FwOp,
    )
    o_BTHD: Tensor = out.view(n_rows, n_tokens, n_query_heads, head_size)
    return o_BTHD


def _cached_mask(tables_BP: Tensor, lengths_B: Tensor, n_tokens: int, page_slots: int) -> Any:
    """A mask over a fixed part kept by shape: making that copies from the host, which a graph
    refuses.

    Warm a shape up before it is captured. What is kept holds neither tables nor lengths: those of
    a graph would keep its memory from being given back.
    """
    key = (*tables_BP.shape, n_tokens, page_slots, tables_BP.device)
    if key not in _masks:
        fixed = build_mask(tables_BP, lengths_B, n_tokens, page_slots)
        fixed.block_tables = fixed.k_seqinfo.seqlen = None
        _masks[key] = fixed
    mask = copy.copy(_masks[key])
    mask.k_seqinfo = copy.copy(mask.k_seqinfo)
    mask.block_tables = tables_BP
    mask.k_seqinfo.seqlen = lengths_B.clamp_min(n_tokens).to(torch.int32)
    return mask


_masks: dict[tuple[object, ...], Any] = {}
