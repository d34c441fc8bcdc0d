"""The GPU engine's operations, each by the fastest form that this machine has.

Owns the choice: Triton's kernels on a GPU where Triton is installed, xformers for attention over
pages where that is, and plain torch everywhere else. Their meaning is `reference`'s.
"""

from __future__ import annotations

from torch import Tensor

from fimble_model.gpu import reference
from fimble_model.gpu.reference import HeadGains

__all__ = [
    "HeadGains",
    "add_norm",
    "attend_paged",
    "attend_prefill",
    "gated",
    "linear8",
    "linear_fp8",
    "pick",
    "rotate_and_store",
]

attend_prefill = reference.attend_prefill


def add_norm(
    x_NE: Tensor, residual_NE: Tensor | None, gain_E: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """See `reference.add_norm`."""
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
    return reference.rotate_and_store(
        qkv_ND,
        cos_ND,
        sin_ND,
        head_gains,
        keys_PSKD,
        values_PSKD,
        slots_N,
        n_query_heads,
        n_key_heads,
    )


def attend_paged(
    q_BTHD: Tensor,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    tables_BP: Tensor,
    lengths_B: Tensor,
    scale: float,
) -> Tensor:
    """See `reference.attend_paged`."""
    return reference.attend_paged(q_BTHD, keys_PSKD, values_PSKD, tables_BP, lengths_B, scale)


def gated(gate_up_N2F: Tensor) -> Tensor:
    """See `reference.gated`."""
    return reference.gated(gate_up_N2F)


def linear8(x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor) -> Tensor:
    """See `reference.linear8`."""
    return reference.linear8(x_NE, weight_OE, scale_O)


def linear_fp8(x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor) -> Tensor:
    """See `reference.linear_fp8`."""
    return reference.linear_fp8(x_NE, weight_OE, scale_O)


def pick(
    logits_NV: Tensor, temperatures_N: Tensor, top_ps_N: Tensor, uniforms_N: Tensor
) -> tuple[Tensor, Tensor]:
    """See `reference.pick`."""
    return reference.pick(logits_NV, temperatures_N, top_ps_N, uniforms_N)
