"""Triton: each row's next token, greedy or drawn, from its logits.

Owns three kernels: maxima and sums of stretches of the vocabulary, their joining, and the draw by
top-p and inverse cumulated probabilities for the rows that want one. No sorting: the nucleus'
least probability is found by bisection over the bits of a float32, exactly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["pick"]

_BLOCK = 4096


@triton.jit
def scan_kernel(logits, tops, sums, ids, n_V, n_parts, BLOCK_V: tl.constexpr):
    """A stretch of one row: its largest logit, the first place of that, the sum of e^(x - top)."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    columns = part * BLOCK_V + tl.arange(0, BLOCK_V)
    mask = columns < n_V
    x = tl.load(logits + row * n_V + columns, mask=mask, other=float("-inf")).to(tl.float32)
    top = tl.max(x, axis=0)
    base = tl.where(top == float("-inf"), 0.0, top)
    place = row * n_parts + part
    tl.store(tops + place, top)
    tl.store(sums + place, tl.sum(tl.exp(x - base), axis=0))
    tl.store(ids + place, tl.min(tl.where((x == top) & mask, columns, n_V - 1), axis=0))


@triton.jit
def join_kernel(tops, sums, ids, best, logprobs, totals, n_V, n_parts, BLOCK_P: tl.constexpr):
    """One row: the greedy token, its log-probability, and the logarithm of the whole sum."""
    row = tl.program_id(0).to(tl.int64)
    parts = tl.arange(0, BLOCK_P)
    mask = parts < n_parts
    place = row * n_parts + parts
    top_P = tl.load(tops + place, mask=mask, other=float("-inf"))
    sum_P = tl.load(sums + place, mask=mask, other=0.0)
    id_P = tl.load(ids + place, mask=mask, other=n_V - 1)
    top = tl.max(top_P, axis=0)
    base = tl.where(top == float("-inf"), 0.0, top)
    whole = tl.log(tl.sum(sum_P * tl.exp(top_P - base), axis=0))
    tl.store(best + row, tl.min(tl.where(top_P == top, id_P, n_V - 1), axis=0).to(tl.int64))
    tl.store(logprobs + row, -whole)
    tl.store(totals + row, base + whole)


@triton.jit
def weigh(start, columns, n_V, top, heat, least_bits):
    """A stretch's weights, e^((x - top) / heat); 0 below the float32 of the given bits."""
    x = tl.load(start + columns, mask=columns < n_V, other=float("-inf")).to(tl.float32)
    weight = tl.exp((x - top) / heat)
    return tl.where(weight.to(tl.int32, bitcast=True) >= least_bits, weight, 0.0)


@triton.jit
def sum_weights(start, n_V, top, heat, least_bits, BLOCK_V: tl.constexpr):
    """The sum of all of a row's weights that are not below the least."""
    mass = 0.0
    for first in range(0, n_V, BLOCK_V):
        columns = first + tl.arange(0, BLOCK_V)
        mass += tl.sum(weigh(start, columns, n_V, top, heat, least_bits), axis=0)
    return mass


@triton.jit
def find_nucleus(start, n_V, top, heat, goal, BLOCK_V: tl.constexpr):
    """Bits of the largest weight such that the weights from there up add to the goal."""
    low = 0
    high = 0x3F800001  # Just above 1, the largest weight: there nothing is left.
    for _ in range(31):
        middle = low + (high - low) // 2
        reaches = sum_weights(start, n_V, top, heat, middle, BLOCK_V) >= goal
        low = tl.where(reaches, middle, low)
        high = tl.where(reaches, high, middle)
    return low


@triton.jit
def draw_kernel(
    logits,
    temperatures,
    top_ps,
    uniforms,
    best,
    logprobs,
    totals,
    n_V,
    BLOCK_V: tl.constexpr,
):
    """One row; done at once where its temperature is 0."""
    row = tl.program_id(0).to(tl.int64)
    heat = tl.load(temperatures + row).to(tl.float32)
    if heat > 0.0:
        start = logits + row * n_V
        top = tl.load(start + tl.load(best + row)).to(tl.float32)
        heat = tl.maximum(heat, 1e-6)
        goal = sum_weights(start, n_V, top, heat, 0, BLOCK_V) * tl.load(top_ps + row)
        least_bits = find_nucleus(start, n_V, top, heat, goal, BLOCK_V)
        kept = sum_weights(start, n_V, top, heat, least_bits, BLOCK_V)
        wanted = kept * tl.load(uniforms + row)
        passed = 0.0
        found = n_V
        for first in range(0, n_V, BLOCK_V):
            columns = first + tl.arange(0, BLOCK_V)
            weight = weigh(start, columns, n_V, top, heat, least_bits)
            is_reached = (passed + tl.cumsum(weight, axis=0) > wanted) & (weight > 0.0)
            found = tl.minimum(found, tl.min(tl.where(is_reached, columns, n_V), axis=0))
            passed += tl.sum(weight, axis=0)
        if found < n_V:
            tl.store(best + row, found.to(tl.int64))
            logprob = tl.load(start + found).to(tl.float32) - tl.load(totals + row)
            tl.store(logprobs + row, logprob)


def pick(
    logits_NV: Tensor,
    temperatures_N: Tensor,
    top_ps_N: Tensor,
    uniforms_N: Tensor,
    *,
    draws: bool = True,
) -> tuple[Tensor, Tensor]:
    """See `reference.pick`."""
    logits_NV = logits_NV.contiguous()
    n_rows, n_ids = logits_NV.shape
    n_parts = triton.cdiv(n_ids, _BLOCK)
    device = logits_NV.device
    tops, sums = torch.empty((2, n_rows, n_parts), dtype=torch.float32, device=device)
    ids = torch.empty((n_rows, n_parts), dtype=torch.int32, device=device)
    best_N = torch.empty(n_rows, dtype=torch.int64, device=device)
    logprobs_N, totals_N = torch.empty((2, n_rows), dtype=torch.float32, device=device)
    scan_kernel[(n_rows, n_parts)](
        logits_NV, tops, sums, ids, n_ids, n_parts, BLOCK_V=_BLOCK, num_warps=8
    )
    block = triton.next_power_of_2(n_parts)
    join_kernel[(n_rows,)](
        tops, sums, ids, best_N, logprobs_N, totals_N, n_ids, n_parts, BLOCK_P=block, num_warps=1
    )
    if draws:
        draw_kernel[(n_rows,)](
            logits_NV,
            temperatures_N,
            top_ps_N,
            uniforms_N,
            best_N,
            logprobs_N,
            totals_N,
            n_ids,
            BLOCK_V=_BLOCK,
            num_warps=8,
        )
    return best_N, logprobs_N
