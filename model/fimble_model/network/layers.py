"""One decoder layer: attention's projections and the feed-forward part, normed and added.

Owns the order of a layer and the layout of its parameters (q, k, v in one matrix; gate, up in
one). Never knows of checkpoints, caches or batches: all tokens of a pass lie flat on the N axis.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from fimble_model.network.architecture import Residual
from fimble_model.network.attention import Attend
from fimble_model.network.config import NetworkConfig
from fimble_model.network.feed_forward import Experts, Linear, choose_activation
from fimble_model.network.norms import HeadNorm, build_norm
from fimble_model.network.rotary import rotate

__all__ = ["DecoderLayer", "RotaryTables"]

RotaryTables = tuple[Tensor, Tensor] | None
"""Cosines and signed sines `(cos_N1D, sin_N1D)`; None where positions are learned."""


class DecoderLayer(nn.Module):
    """One layer: attention and feed-forward, normed before and added after.

    Of `gate_up` and `up` one is there, none of them where `experts` are.
    """

    def __init__(self, config: NetworkConfig, layer_index: int) -> None:
        super().__init__()
        heads_width = config.n_query_heads * config.head_size
        keys_width = config.n_key_heads * config.head_size
        width, inner = config.width, config.feed_forward_width
        self.n_query_heads = config.n_query_heads
        self.n_key_heads = config.n_key_heads
        self.head_size = config.head_size
        self.window = config.window_of(layer_index)
        self.is_parallel = config.residual is not Residual.SEQUENTIAL
        self.residual_multiplier = config.residual_multiplier
        self.query_multiplier = _query_multiplier(config)
        self.attention_norm = build_norm(config)
        self.qkv = Linear(width, heads_width + 2 * keys_width, bias=config.qkv_bias)
        self.head_norm = HeadNorm(config) if config.qk_norm else None
        self.output = Linear(heads_width, width, bias=config.output_bias)
        has_one_norm = config.residual is Residual.PARALLEL_ONE_NORM
        self.feed_forward_norm = None if has_one_norm else build_norm(config)
        experts = config.experts_of(layer_index)
        self.experts = None if experts is None else Experts(config, experts)
        if experts is None and config.gated:
            self.gate_up = Linear(width, 2 * inner, bias=config.mlp_bias)
        elif experts is None:
            self.up = Linear(width, inner, bias=config.mlp_bias)
        if experts is None:
            self.down = Linear(inner, width, bias=config.mlp_bias)
        self._activate = choose_activation(config)
        self._is_gated = config.gated

    def forward(
        self, layer_index: int, hidden_NE: Tensor, rotary: RotaryTables, attend: Attend
    ) -> Tensor:
        """The residual stream after this layer."""
        normed_NE = self.attention_norm(hidden_NE)
        attended_NE = self._attention(layer_index, normed_NE, rotary, attend)
        if self.is_parallel:
            if self.feed_forward_norm is not None:
                normed_NE = self.feed_forward_norm(hidden_NE)
            return hidden_NE + self._scaled(attended_NE + self._feed_forward(normed_NE))
        hidden_NE = hidden_NE + self._scaled(attended_NE)
        assert self.feed_forward_norm is not None, "a layer in two steps with one norm"
        return hidden_NE + self._scaled(self._feed_forward(self.feed_forward_norm(hidden_NE)))

    def _scaled(self, added_NE: Tensor) -> Tensor:
        return added_NE if self.residual_multiplier == 1 else added_NE * self.residual_multiplier

    def _attention(
        self, layer_index: int, normed_NE: Tensor, rotary: RotaryTables, attend: Attend
    ) -> Tensor:
        # Heads of one token in the fused matrix:
        #   [0, H)        queries
        #   [H, H + K)    keys
        #   [H + K, end)  values
        n_rotated = self.n_query_heads + self.n_key_heads
        heads_NHD = self.qkv(normed_NE).view(normed_NE.shape[0], -1, self.head_size)
        qk_NHD, v_NKD = heads_NHD[:, :n_rotated], heads_NHD[:, n_rotated:]
        if self.head_norm is not None:
            qk_NHD = self.head_norm(qk_NHD)
        if rotary is not None:
            qk_NHD = rotate(qk_NHD, *rotary)
        q_NHD, k_NKD = qk_NHD[:, : self.n_query_heads], qk_NHD[:, self.n_query_heads :]
        if self.query_multiplier != 1:
            q_NHD = q_NHD * self.query_multiplier
        if self.window is None:
            o_NHD = attend(layer_index, q_NHD, k_NKD, v_NKD)
        else:
            o_NHD = attend(layer_index, q_NHD, k_NKD, v_NKD, self.window)
        mixed_NE: Tensor = self.output(o_NHD.flatten(1))
        return mixed_NE

    def _feed_forward(self, normed_NE: Tensor) -> Tensor:
        if self.experts is not None:
            chosen_NE: Tensor = self.experts(normed_NE)
            return chosen_NE
        raised_NF = self.gate_up(normed_NE) if self._is_gated else self.up(normed_NE)
        added_NE: Tensor = self.down(self._activate(raised_NF))
        return added_NE


def _query_multiplier(config: NetworkConfig) -> float:
    """What brings scores to `attention_scale`, for `Attend` divides them by the root of D."""
    if config.attention_scale is None:
        return 1.0
    return config.attention_scale * math.sqrt(config.head_size)
