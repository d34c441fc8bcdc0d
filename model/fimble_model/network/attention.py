"""Attention back ends: where a layer hands its queries, keys and values, and gets outputs.

Owns the `Attend` seam, the dense causal form for training, and the one pure function that
attends over cached slots. Never keeps keys or values itself: whoever implements `Attend` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Attend", "DenseCausal", "attend_cached"]


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


def attend_cached(q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int) -> Tensor:
    """Outputs `o_THD` of one row's T new tokens over its slots [0, n_cached + T).

        [0, n_cached)             slots of earlier tokens, seen by every new token
        [n_cached, n_cached + T)  slots of the new tokens; token t sees up to n_cached + t

    Slots beyond are ignored. Query heads that share a key head become rows of one matrix, so
    that keys and values are read once a group instead of once a query head.
    """
    n_tokens, n_query_heads, head_size = q_THD.shape
    n_key_heads = k_KSD.shape[0]
    n_slots = n_cached + n_tokens
    n_heads_per_key = n_query_heads // n_key_heads
    # Rows of the grouped matrix: head 0 of the group for every token, then head 1, ...
    grouped = q_THD.view(n_tokens, n_key_heads, n_heads_per_key, head_size).permute(1, 2, 0, 3)
    q_KRD = grouped.reshape(n_key_heads, n_heads_per_key * n_tokens, head_size)
    mask_RS = None
    if n_tokens > 1:
        mask_TS = q_THD.new_ones(n_tokens, n_slots, dtype=torch.bool).tril_(n_cached)
        mask_RS = mask_TS.repeat(n_heads_per_key, 1)
    o_KRD = functional.scaled_dot_product_attention(
        q_KRD[None], k_KSD[None, :, :n_slots], v_KSD[None, :, :n_slots], attn_mask=mask_RS
    )[0]
    o_KGTD = o_KRD.view(n_key_heads, n_heads_per_key, n_tokens, head_size)
    return o_KGTD.permute(2, 0, 1, 3).reshape(q_THD.shape)
