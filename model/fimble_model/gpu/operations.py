"""The GPU engine's operations, each by the fastest form that this machine has.

Owns the choice: Triton's kernels on a GPU where Triton is installed, xformers for attention over
pages where that is, and plain torch everywhere else. Their meaning is `reference`'s.
"""

from __future__ import annotations

import functools
import importlib.util

from torch import Tensor

from fimble_model.gpu import paged_masks, reference
from fimble_model.gpu.reference import HeadGains

__all__ = [
    "HeadGains",
    "add_norm",
    "attend_paged",
    "attend_prefill",
    "gated",
    "has_triton",
    "linear8",
    "pick",
    "rotate_and_store",
]

attend_prefill = reference.attend_prefill


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed: it comes with torch for CUDA, and with fimble[gpu]."""
    return importlib.util.find_spec("triton") is not None


def _has_kernels(tensor: Tensor) -> bool:
    return tensor.is_cuda and has_triton()


def add_norm(
    x_NE: Tensor, residual_NE: Tensor | None, gain_E: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """See `reference.add_norm`."""
    if _has_kernels(x_NE):
        from fimble_model.gpu.kernels import norms

        return norms.add_norm(x_NE, residual_NE, gain_E, epsilon)
    return reference.add_norm(x_NE, residual_NE, gain_E, epsilon)


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
    if _has_kernels(qkv_ND):
        from fimble_model.gpu.kernels import rotary

        rotate = rotary.rotate_and_store
    else:
        rotate = reference.rotate_and_store
    pools = (keys_PSKD, values_PSKD)
    return rotate(qkv_ND, cos_ND, sin_ND, head_gains, *pools, slots_N, n_query_heads, n_key_heads)


def attend_paged(
    q_BTHD: Tensor,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    tables_BP: Tensor,
    lengths_B: Tensor,
    scale: float,
) -> Tensor:
    """See `reference.attend_paged`."""
    if paged_masks.serves(q_BTHD, keys_PSKD):
        attend = paged_masks.attend_paged
    elif _has_kernels(q_BTHD):
        from fimble_model.gpu.kernels import attention

        attend = attention.attend_paged
    else:
        attend = reference.attend_paged
    return attend(q_BTHD, keys_PSKD, values_PSKD, tables_BP, lengths_B, scale)


def gated(gate_up_N2F: Tensor) -> Tensor:
    """See `reference.gated`."""
    if _has_kernels(gate_up_N2F):
        from fimble_model.gpu.kernels import norms

        return norms.gated(gate_up_N2F)
    return reference.gated(gate_up_N2F)


def linear8(x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor) -> Tensor:
    """See `reference.linear8`; a small batch never widens the weights in memory."""
    if _has_kernels(x_NE):
        from fimble_model.gpu.kernels import linear

        if x_NE.shape[0] <= linear.MOST_ROWS:
            return linear.multiply(x_NE, weight_OE, scale_O)
    return reference.linear8(x_NE, weight_OE, scale_O)


def pick(
    logits_NV: Tensor, temperatures_N: Tensor, top_ps_N: Tensor, uniforms_N: Tensor
) -> tuple[Tensor, Tensor]:
    """See `reference.pick`."""
    if _has_kernels(logits_NV):
        from fimble_model.gpu.kernels import picking

        return picking.pick(logits_NV, temperatures_N, top_ps_N, uniforms_N)
    return reference.pick(logits_NV, temperatures_N, top_ps_N, uniforms_N)
