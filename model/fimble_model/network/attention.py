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

from fimble_model.network.tiles import attend_in_tiles

__all__ = ["Attend", "DenseCausal", "attend_cached"]


class Attend(Protocol):
    """Called once per layer, in layer order, after rotary. It owns where k and v are kept."""

    def __call__(
        self,
        layer_index: int,
        q_NHD: Tensor,
        k_NKD: Tensor,
        v_NKD: Tensor,
        window: int | None = None,
    ) -> Tensor:
        """Attention outputs `o_NHD` for the N tokens of the pass, in their order.

        A token sees the last `window` tokens of its row up to itself, or all of them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCausal:
    """Causal attention over rows of equal length, laid end to end, with nothing cached."""

    n_rows: int
    n_tokens: int

    def __call__(
        self,
        layer_index: int,
        q_NHD: Tensor,
        k_NKD: Tensor,
        v_NKD: Tensor,
        window: int | None = None,
    ) -> Tensor:
        """Each token sees itself and the tokens before it in its own row."""
        mask_TS = None
        if window is not None:
            mask_TS = _visible(self.n_tokens, self.n_tokens, window, q_NHD.device)
        o_BHTD = functional.scaled_dot_product_attention(
            self._rows(q_NHD),
            self._rows(k_NKD),
            self._rows(v_NKD),
            attn_mask=mask_TS,
            is_causal=mask_TS is None,
            enable_gqa=q_NHD.shape[1] != k_NKD.shape[1],
        )
        return o_BHTD.transpose(1, 2).reshape(q_NHD.shape)

    def _rows(self, x_NHD: Tensor) -> Tensor:
        return x_NHD.reshape(self.n_rows, self.n_tokens, *x_NHD.shape[1:]).transpose(1, 2)


def attend_cached(
    q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int, window: int | None = None
) -> Tensor:
    """Outputs `o_THD` of one row's T new tokens over its slots [0, n_cached + T).

        [0, n_cached)             slots of earlier tokens, seen by every new token
        [n_cached, n_cached + T)  slots of the new tokens; token t sees up to n_cached + t
        [n_cached + T, S)         unused: never seen, but must hold finite numbers

    With a `window` a token sees only the last so many of these slots. Pass the whole buffer: with S
    a multiple of `tiles.BLOCK_SLOTS` nothing is copied. On the CPU in float32 a token's output has
    the same bits however its row is cut into passes.
    """
    if q_THD.device.type == "cpu" and q_THD.dtype == torch.float32:
        return attend_in_tiles(q_THD, k_KSD, v_KSD, n_cached, window)
    return _attend_whole(q_THD, k_KSD, v_KSD, n_cached, window)


def _attend_whole(
    q_THD: Tensor, k_KSD: Tensor, v_KSD: Tensor, n_cached: int, window: int | None
) -> Tensor:
    n_tokens = q_THD.shape[0]
    n_slots = n_cached + n_tokens
    mask_TS = None
    if n_tokens > 1 or window is not None:
        mask_TS = _visible(n_tokens, n_slots, window, q_THD.device)
    o_HTD = functional.scaled_dot_product_attention(
        q_THD.transpose(0, 1)[None],
        k_KSD[None, :, :n_slots],
        v_KSD[None, :, :n_slots],
        attn_mask=mask_TS,
        enable_gqa=q_THD.shape[1] != k_KSD.shape[0],
    )[0]
    return o_HTD.transpose(0, 1)


def _visible(n_tokens: int, n_slots: int, window: int | None, device: torch.device) -> Tensor:
    """Which slots the last tokens of a row see: `mask_TS`, true where they do."""
    n_cached = n_slots - n_tokens
    mask_TS = torch.ones(n_tokens, n_slots, dtype=torch.bool, device=device).tril_(n_cached)
    return mask_TS if window is None else mask_TS.triu_(n_cached - window + 1)
