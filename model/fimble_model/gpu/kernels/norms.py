"""Triton: a residual stream added to and normed in one pass, and the feed-forward's gate.

Owns these two kernels and their launches. One program a row (norm) or a stretch of one (gate).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["add_norm", "gated"]

_GATE_BLOCK = 1024


@triton.jit
def add_norm_kernel(
    x,
    residual,
    gain,
    normed,
    total,
    n_E,
    epsilon,
    HAS_RESIDUAL: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """One row; the sum is rounded to the stream's type before it is normed, as torch does."""
    start = tl.program_id(0).to(tl.int64) * n_E
    columns = tl.arange(0, BLOCK_E)
    mask = columns < n_E
    value = tl.load(x + start + columns, mask=mask, other=0.0)
    if HAS_RESIDUAL:
        added = tl.load(residual + start + columns, mask=mask, other=0.0).to(tl.float32)
        value = (value.to(tl.float32) + added).to(total.dtype.element_ty)
        tl.store(total + start + columns, value, mask=mask)
    wide = value.to(tl.float32)
    factor = tl.rsqrt(tl.sum(wide * wide, axis=0) / n_E + epsilon)
    strength = tl.load(gain + columns, mask=mask, other=0.0).to(tl.float32)
    result = (wide * factor * strength).to(normed.dtype.element_ty)
    tl.store(normed + start + columns, result, mask=mask)


@triton.jit
def gated_kernel(gate_up, out, n_F, BLOCK_F: tl.constexpr):
    """A stretch of one row; the row of `gate_up` is twice as long."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK_F + tl.arange(0, BLOCK_F)
    mask = columns < n_F
    gate = tl.load(gate_up + row * 2 * n_F + columns, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * n_F + n_F + columns, mask=mask, other=0.0).to(tl.float32)
    result = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out + row * n_F + columns, result.to(out.dtype.element_ty), mask=mask)


def add_norm(
    x_NE: Tensor, residual_NE: Tensor | None, gain_E: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """See `reference.add_norm`."""
    x_NE = x_NE.contiguous()
    n_rows, width = x_NE.shape
    normed_NE = torch.empty_like(x_NE)
    total_NE = x_NE if residual_NE is None else torch.empty_like(x_NE)
    block = triton.next_power_of_2(width)
    add_norm_kernel[(n_rows,)](
        x_NE,
        x_NE if residual_NE is None else residual_NE.contiguous(),
        gain_E,
        normed_NE,
        total_NE,
        width,
        epsilon,
        HAS_RESIDUAL=residual_NE is not None,
        BLOCK_E=block,
        num_warps=4 if block <= 2048 else 8,
    )
    return normed_NE, total_NE


def gated(gate_up_N2F: Tensor) -> Tensor:
    """See `reference.gated`."""
    gate_up_N2F = gate_up_N2F.contiguous()
    n_rows, double = gate_up_N2F.shape
    inner = double // 2
    out_NF = gate_up_N2F.new_empty(n_rows, inner)
    grid = (n_rows, triton.cdiv(inner, _GATE_BLOCK))
    gated_kernel[grid](gate_up_N2F, out_NF, inner, BLOCK_F=_GATE_BLOCK, num_warps=4)
    return out_NF
