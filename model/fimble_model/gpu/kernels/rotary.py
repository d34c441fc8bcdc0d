"""Triton: heads normed and turned, keys and values written to their slots, in one launch.

Owns that kernel. One program a head of a token: query heads, key heads, value heads.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from fimble_model.gpu.reference import HeadGains

__all__ = ["rotate_and_store"]


@triton.jit
def load_gain(query_gain, key_gain, lanes, mask, is_query):
    """The gain of a query head or of a key head."""
    of_query = tl.load(query_gain + lanes, mask=mask & is_query, other=0.0).to(tl.float32)
    return of_query + tl.load(key_gain + lanes, mask=mask & (is_query == 0), other=0.0)


@triton.jit
def rotate_and_store_kernel(
    qkv,
    cos,
    sin,
    query_gain,
    key_gain,
    queries,
    keys,
    values,
    slots,
    epsilon,
    N_QUERY: tl.constexpr,
    N_KEY: tl.constexpr,
    SIZE_D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    HAS_GAINS: tl.constexpr,
):
    """One head; a lane's partner is the number that it turns with, half a head away."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    lanes = tl.arange(0, BLOCK_D)
    mask = lanes < SIZE_D
    slot = tl.load(slots + token).to(tl.int64)
    start = qkv + (token * (N_QUERY + 2 * N_KEY) + head) * SIZE_D
    if head >= N_QUERY + N_KEY:
        value = tl.load(start + lanes, mask=mask, other=0.0)
        place = values + (slot * N_KEY + head - N_QUERY - N_KEY) * SIZE_D
        tl.store(place + lanes, value.to(values.dtype.element_ty), mask=mask)
    else:
        partners = tl.where(lanes < SIZE_D // 2, lanes + SIZE_D // 2, lanes - SIZE_D // 2)
        mine = tl.load(start + lanes, mask=mask, other=0.0).to(tl.float32)
        other = tl.load(start + partners, mask=mask, other=0.0).to(tl.float32)
        if HAS_GAINS:
            factor = tl.rsqrt(tl.sum(mine * mine, axis=0) / SIZE_D + epsilon)
            my_gain = load_gain(query_gain, key_gain, lanes, mask, head < N_QUERY)
            its_gain = load_gain(query_gain, key_gain, partners, mask, head < N_QUERY)
            mine = mine * factor * my_gain
            other = other * factor * its_gain
        cosine = tl.load(cos + token * SIZE_D + lanes, mask=mask, other=0.0).to(tl.float32)
        sine = tl.load(sin + token * SIZE_D + lanes, mask=mask, other=0.0).to(tl.float32)
        turned = mine * cosine + other * sine
        if head < N_QUERY:
            place = queries + (token * N_QUERY + head) * SIZE_D
            tl.store(place + lanes, turned.to(queries.dtype.element_ty), mask=mask)
        else:
            place = keys + (slot * N_KEY + head - N_QUERY) * SIZE_D
            tl.store(place + lanes, turned.to(keys.dtype.element_ty), mask=mask)


def rotate_and_store(
    qkv_ND: Tensor,
    cos_ND: Tensor,
    sin_ND: Tensor,
    head_gains: HeadGains | None,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    slots_N: Tensor,
    n_query_heads: int,
    n_key_heads: int,
) -> Tensor:
    """See `reference.rotate_and_store`."""
    assert keys_PSKD.is_contiguous(), "a layer's pool is one piece"
    assert values_PSKD.is_contiguous(), "a layer's pool is one piece"
    qkv_ND, cos_ND, sin_ND = qkv_ND.contiguous(), cos_ND.contiguous(), sin_ND.contiguous()
    n_tokens, head_size = cos_ND.shape
    q_NHD = qkv_ND.new_empty(n_tokens, n_query_heads, head_size)
    query_gain, key_gain, epsilon = head_gains or HeadGains(q_NHD, q_NHD, 0.0)
    rotate_and_store_kernel[(n_tokens, n_query_heads + 2 * n_key_heads)](
        qkv_ND,
        cos_ND,
        sin_ND,
        query_gain,
        key_gain,
        q_NHD,
        keys_PSKD,
        values_PSKD,
        slots_N,
        epsilon,
        N_QUERY=n_query_heads,
        N_KEY=n_key_heads,
        SIZE_D=head_size,
        BLOCK_D=triton.next_power_of_2(head_size),
        HAS_GAINS=head_gains is not None,
        num_warps=1,
    )
    return q_NHD
