"""Triton: products of a few rows with a large matrix, of floats or of rounded weights.

Owns two kernels, both bound by the reading of the weights: one row times a matrix without tensor
cores, and some rows with them. Sums are in float32 and in one order: no atomics, no split sums.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

__all__ = ["MOST_ROWS", "multiply"]

# Above it a program's rows no longer fit beside its weights; torch's product serves then.
MOST_ROWS = 64
_LEAST_ROWS = 16


@triton.jit
def one_row_kernel(
    x,
    weight,
    scale,
    bias,
    out,
    n_E,
    n_O,
    HAS_SCALE: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """Some outputs of one row."""
    outputs_O = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    mask_O = outputs_O < n_O
    sums_OE = tl.zeros([BLOCK_O, BLOCK_E], tl.float32)
    for start in range(0, n_E, BLOCK_E):
        columns_E = start + tl.arange(0, BLOCK_E)
        mask_E = columns_E < n_E
        x_E = tl.load(x + columns_E, mask=mask_E, other=0.0).to(tl.float32)
        places_OE = outputs_O.to(tl.int64)[:, None] * n_E + columns_E[None, :]
        mask_OE = mask_O[:, None] & mask_E[None, :]
        w_OE = tl.load(weight + places_OE, mask=mask_OE, other=0).to(tl.float32)
        sums_OE += w_OE * x_E[None, :]
    product_O = tl.sum(sums_OE, axis=1)
    if HAS_SCALE:
        product_O *= tl.load(scale + outputs_O, mask=mask_O, other=0.0)
    if HAS_BIAS:
        product_O += tl.load(bias + outputs_O, mask=mask_O, other=0.0).to(tl.float32)
    tl.store(out + outputs_O, product_O.to(out.dtype.element_ty), mask=mask_O)


# Rows of any number are one kernel: none is compiled under a key.
@triton.jit(do_not_specialize=["n_N"])
def some_rows_kernel(
    x,
    weight,
    scale,
    bias,
    out,
    n_N,
    n_E,
    n_O,
    HAS_SCALE: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """Some outputs of all rows."""
    rows_N = tl.arange(0, BLOCK_N)
    outputs_O = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    mask_N, mask_O = rows_N < n_N, outputs_O < n_O
    sums_NO = tl.zeros([BLOCK_N, BLOCK_O], tl.float32)
    for start in range(0, n_E, BLOCK_E):
        columns_E = start + tl.arange(0, BLOCK_E)
        mask_E = columns_E < n_E
        mask_NE = mask_N[:, None] & mask_E[None, :]
        x_NE = tl.load(x + rows_N[:, None] * n_E + columns_E[None, :], mask=mask_NE, other=0.0)
        places_OE = outputs_O.to(tl.int64)[:, None] * n_E + columns_E[None, :]
        mask_OE = mask_O[:, None] & mask_E[None, :]
        w_OE = tl.load(weight + places_OE, mask=mask_OE, other=0).to(x_NE.dtype)
        sums_NO += tl.dot(x_NE, tl.trans(w_OE), input_precision="ieee")
    if HAS_SCALE:
        sums_NO *= tl.load(scale + outputs_O, mask=mask_O, other=0.0)[None, :]
    if HAS_BIAS:
        sums_NO += tl.load(bias + outputs_O, mask=mask_O, other=0.0).to(tl.float32)[None, :]
    places_NO = rows_N[:, None] * n_O + outputs_O[None, :]
    mask_NO = mask_N[:, None] & mask_O[None, :]
    tl.store(out + places_NO, sums_NO.to(out.dtype.element_ty), mask=mask_NO)


def multiply(
    x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor | None = None, bias_O: Tensor | None = None
) -> Tensor:
    """`x_NO`, the inputs times the weights, times the outputs' scales, plus the bias.

    At most `MOST_ROWS` rows. Weights are floats, int8 or float8; they are widened to the inputs'
    type, which holds each of their values exactly.
    """
    x_NE, weight_OE = x_NE.contiguous(), weight_OE.contiguous()
    (n_rows, n_inputs), n_outputs = x_NE.shape, weight_OE.shape[0]
    assert n_rows <= MOST_ROWS, "rows of a small batch"
    out_NO = x_NE.new_empty(n_rows, n_outputs)
    scale, bias = (out_NO if each is None else each for each in (scale_O, bias_O))
    has = {"HAS_SCALE": scale_O is not None, "HAS_BIAS": bias_O is not None}
    if n_rows == 1:
        # Guessed; measure: enough programs to fill a large GPU, 8 KiB of bfloat16 in flight each.
        block_outputs = 4 if n_outputs <= 16_384 else 8
        one_row_kernel[(triton.cdiv(n_outputs, block_outputs),)](
            x_NE,
            weight_OE,
            scale,
            bias,
            out_NO,
            n_inputs,
            n_outputs,
            BLOCK_O=block_outputs,
            BLOCK_E=1024,
            num_warps=4,
            **has,
        )
        return out_NO
    block_outputs = 16 if n_outputs <= 8192 else 32
    some_rows_kernel[(triton.cdiv(n_outputs, block_outputs),)](
        x_NE,
        weight_OE,
        scale,
        bias,
        out_NO,
        n_rows,
        n_inputs,
        n_outputs,
        BLOCK_N=max(_LEAST_ROWS, triton.next_power_of_2(n_rows)),
        BLOCK_O=block_outputs,
        BLOCK_E=128,
        num_warps=4,
        num_stages=4,
        **has,
    )
    return out_NO
