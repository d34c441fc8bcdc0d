"""Triton: attention of a few tokens a row over pages, its slots split among programs.

Owns the two stages (Flash-Decoding: each program attends over a run of a row's pages, then the
runs are weighed together by their softmax sums). The grid follows from shapes alone, never from
lengths, so that a CUDA graph holds it; how pages fall to programs is read from the lengths.

    rows of a program   all tokens of a row times the query heads that share its key head
"""

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["attend_paged", "plan_splits"]

# Blocks of tensor cores have 16 rows at least.
_LEAST_ROWS = 16
_MOST_SPLITS = 32
_PROGRAMS_PER_PROCESSOR = 2
_LOG2_E = 1.4426950408889634


@triton.jit
def load_page(pool, start_S, lanes_D, mask_SD):
    """One page's keys or values; what lies past the row's end reads as zeros."""
    return tl.load(pool + start_S[:, None] + lanes_D[None, :], mask=mask_SD, other=0.0)


@triton.jit
def add_page(q_RD, k_SD, v_SD, is_seen_RS, scale, top_R, sum_R, part_RD):
    """The largest score, the sum of weights and the weighted values, with one page more."""
    scores_RS = tl.dot(q_RD, tl.trans(k_SD), input_precision="ieee") * scale
    scores_RS = tl.where(is_seen_RS, scores_RS, float("-inf"))
    new_R = tl.maximum(top_R, tl.max(scores_RS, axis=1))
    # A token that has seen nothing yet has no top to subtract.
    base_R = tl.where(new_R == float("-inf"), 0.0, new_R)
    weights_RS = tl.exp2(scores_RS - base_R[:, None])
    fade_R = tl.exp2(top_R - base_R)
    sum_R = sum_R * fade_R + tl.sum(weights_RS, axis=1)
    added_RD = tl.dot(weights_RS.to(v_SD.dtype), v_SD, input_precision="ieee")
    return new_R, sum_R, part_RD * fade_R[:, None] + added_RD


@triton.jit
def attend_kernel(
    q,
    keys,
    values,
    tables,
    lengths,
    parts,
    tops,
    sums,
    scale,
    n_table,
    N_TOKENS: tl.constexpr,
    N_QUERY: tl.constexpr,
    N_KEY: tl.constexpr,
    N_SPLITS: tl.constexpr,
    SIZE_D: tl.constexpr,
    SIZE_PAGE: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_R: tl.constexpr,
):
    """One row's one key head over one run of its pages; `scale` is in units of log2."""
    row, key_head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    group: tl.constexpr = N_QUERY // N_KEY
    rows_R, lanes_D, slots_S = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_D), tl.arange(0, SIZE_PAGE)
    tokens_R, mask_R, mask_D = rows_R // group, rows_R < N_TOKENS * group, lanes_D < SIZE_D
    head_R = (row * N_TOKENS + tokens_R) * N_QUERY + key_head * group + rows_R % group
    mask_RD = mask_R[:, None] & mask_D[None, :]
    q_RD = load_page(q, head_R * SIZE_D, lanes_D, mask_RD)
    length = tl.load(lengths + row)
    n_seen_R = length - N_TOKENS + tokens_R + 1
    n_pages = (length + SIZE_PAGE - 1) // SIZE_PAGE
    n_run = (n_pages + N_SPLITS - 1) // N_SPLITS
    top_R = tl.full([BLOCK_R], float("-inf"), tl.float32)
    sum_R = tl.zeros([BLOCK_R], tl.float32)
    part_RD = tl.zeros([BLOCK_R, BLOCK_D], tl.float32)
    for page in range(split * n_run, tl.minimum(n_pages, (split + 1) * n_run)):
        number = tl.load(tables + row * n_table + page).to(tl.int64)
        seen_S = page * SIZE_PAGE + slots_S
        mask_SD = (seen_S < length)[:, None] & mask_D[None, :]
        start_S = ((number * SIZE_PAGE + slots_S) * N_KEY + key_head) * SIZE_D
        k_SD = load_page(keys, start_S, lanes_D, mask_SD).to(q_RD.dtype)
        v_SD = load_page(values, start_S, lanes_D, mask_SD).to(q_RD.dtype)
        is_seen_RS = seen_S[None, :] < n_seen_R[:, None]
        top_R, sum_R, part_RD = add_page(q_RD, k_SD, v_SD, is_seen_RS, scale, top_R, sum_R, part_RD)
    place_R = head_R * N_SPLITS + split
    tl.store(tops + place_R, top_R, mask=mask_R)
    tl.store(sums + place_R, sum_R, mask=mask_R)
    tl.store(parts + place_R[:, None] * SIZE_D + lanes_D[None, :], part_RD, mask=mask_RD)


@triton.jit
def weigh_kernel(
    parts,
    tops,
    sums,
    out,
    N_SPLITS: tl.constexpr,
    SIZE_D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """One query head of one token: its runs weighed together; zeros where it saw nothing."""
    head = tl.program_id(0).to(tl.int64)
    splits_P = tl.arange(0, BLOCK_P)
    lanes_D = tl.arange(0, BLOCK_D)
    mask_P = splits_P < N_SPLITS
    mask_D = lanes_D < SIZE_D
    place_P = head * N_SPLITS + splits_P
    top_P = tl.load(tops + place_P, mask=mask_P, other=float("-inf"))
    sum_P = tl.load(sums + place_P, mask=mask_P, other=0.0)
    mask_PD = mask_P[:, None] & mask_D[None, :]
    part_PD = tl.load(parts + place_P[:, None] * SIZE_D + lanes_D[None, :], mask=mask_PD, other=0.0)
    top = tl.max(top_P, axis=0)
    weight_P = tl.exp2(top_P - tl.where(top == float("-inf"), 0.0, top))
    total = tl.sum(weight_P * sum_P, axis=0)
    o_D = tl.sum(part_PD * weight_P[:, None], axis=0) / tl.where(total == 0.0, 1.0, total)
    tl.store(out + head * SIZE_D + lanes_D, o_D.to(out.dtype.element_ty), mask=mask_D)


def plan_splits(*, n_programs: int, n_pages: int, n_processors: int) -> int:
    """Runs that each row's pages are cut into, so that every processor has some.

    >>> plan_splits(n_programs=2, n_pages=32, n_processors=132)
    32
    >>> plan_splits(n_programs=512, n_pages=32, n_processors=132)
    1
    """
    wanted = -(-_PROGRAMS_PER_PROCESSOR * n_processors // n_programs)
    return max(1, min(wanted, n_pages, _MOST_SPLITS))


@functools.cache
def _count_processors(device_index: int | None) -> int:
    if device_index is None:
        return 1
    count: int = torch.cuda.get_device_properties(device_index).multi_processor_count
    return count


def attend_paged(
    q_BTHD: Tensor,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    tables_BP: Tensor,
    lengths_B: Tensor,
    scale: float,
) -> Tensor:
    """See `reference.attend_paged`."""
    q_BTHD, tables_BP = q_BTHD.contiguous(), tables_BP.contiguous()
    n_rows, n_tokens, n_query_heads, head_size = q_BTHD.shape
    _, page_slots, n_key_heads, _ = keys_PSKD.shape
    n_table = tables_BP.shape[1]
    n_splits = plan_splits(
        n_programs=n_rows * n_key_heads,
        n_pages=n_table,
        n_processors=_count_processors(q_BTHD.device.index),
    )
    n_heads = n_rows * n_tokens * n_query_heads
    parts = torch.empty((n_heads, n_splits, head_size), dtype=torch.float32, device=q_BTHD.device)
    tops, sums = parts.new_empty((2, n_heads, n_splits))
    block = max(16, triton.next_power_of_2(head_size))
    n_program_rows = n_tokens * (n_query_heads // n_key_heads)
    shapes = {"N_SPLITS": n_splits, "SIZE_D": head_size, "BLOCK_D": block}
    attend_kernel[(n_rows, n_key_heads, n_splits)](
        q_BTHD,
        keys_PSKD,
        values_PSKD,
        tables_BP,
        lengths_B,
        parts,
        tops,
        sums,
        scale * _LOG2_E,
        n_table,
        N_TOKENS=n_tokens,
        N_QUERY=n_query_heads,
        N_KEY=n_key_heads,
        SIZE_PAGE=page_slots,
        BLOCK_R=max(_LEAST_ROWS, triton.next_power_of_2(n_program_rows)),
        num_warps=4,
        num_stages=2,
        **shapes,
    )
    out_BTHD = torch.empty_like(q_BTHD)
    weigh_kernel[(n_heads,)](
        parts, tops, sums, out_BTHD, BLOCK_P=triton.next_power_of_2(n_splits), num_warps=1, **shapes
    )
    return out_BTHD
