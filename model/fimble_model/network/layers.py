"""The parts of one decoder layer: norms, rotary, attention's projections, the gated feed-forward.

Owns the modules and the layout of their parameters (q, k, v in one matrix; gate, up in one).
Never knows of checkpoints, caches or batches: all tokens of a pass lie flat on the N axis.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fimble_model.network.attention import Attend
from fimble_model.network.config import NetworkConfig

__all__ = ["DecoderLayer", "Embedding", "HeadNorm", "Linear", "RmsNorm", "Rotary", "rotate"]


class Linear(nn.Linear):
    """A linear layer that is born without values: a checkpoint or `initialise` brings them.

    NOTE: torch's own initialisers, on the meta device, import its compiler: two seconds.
    """

    def reset_parameters(self) -> None:
        """Leave the values to whoever knows them."""


class Embedding(nn.Embedding):
    """An embedding that is born without values, as `Linear` is."""

    def reset_parameters(self) -> None:
        """Leave the values to whoever knows them."""


class _ServedGain:
    """A norm whose gain never changes again, in four small operators instead of torch's eight.

    Keeps the gain times the root of the axis's size, made once: x / sqrt(mean(x^2) + epsilon)
    is x * sqrt(size) / hypot(|x|, sqrt(size * epsilon)).
    """

    def __init__(self, gain: Tensor, epsilon: float) -> None:
        size = gain.shape[-1]
        self._gain = gain.detach() * math.sqrt(size)
        self._floor = gain.new_tensor(math.sqrt(size * epsilon))

    def norm(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, 2, -1, True)
        return (x / torch.hypot(length, self._floor)).mul_(self._gain)


def _is_serving_on_cpu(weight: Tensor) -> bool:
    """True for frozen weights on the CPU; a GPU has one fused kernel for the whole norm."""
    return not weight.requires_grad and weight.device.type == "cpu"


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis, with a learned gain."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon
        self._served: _ServedGain | None = None

    def forward(self, x_NE: Tensor) -> Tensor:
        """Normalised rows; each row depends on itself alone."""
        if _is_serving_on_cpu(self.weight):
            if self._served is None:
                self._served = _ServedGain(self.weight, self.epsilon)
            return self._served.norm(x_NE)
        return functional.rms_norm(x_NE, self.weight.shape, self.weight, self.epsilon)


class HeadNorm(nn.Module):
    """Norm of every query and key head: one gain for all query heads, one for all key heads."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.query_weight = nn.Parameter(torch.ones(config.head_size))
        self.key_weight = nn.Parameter(torch.ones(config.head_size))
        self.n_query_heads = config.n_query_heads
        self.n_key_heads = config.n_key_heads
        self.epsilon = config.norm_epsilon
        self._served: _ServedGain | None = None

    def forward(self, qk_NHD: Tensor) -> Tensor:
        """Normalised heads; the H axis holds the query heads, then the key heads."""
        if _is_serving_on_cpu(self.query_weight):
            if self._served is None:
                self._served = _ServedGain(self._gain(), self.epsilon)
            return self._served.norm(qk_NHD)
        normed_NHD = functional.rms_norm(qk_NHD, qk_NHD.shape[-1:], None, self.epsilon)
        return normed_NHD * self._gain()

    def _gain(self) -> Tensor:
        return torch.cat(
            (
                self.query_weight.expand(self.n_query_heads, -1),
                self.key_weight.expand(self.n_key_heads, -1),
            )
        )


class Rotary(nn.Module):
    """Tables of rotary cosines and signed sines in float32, grown as longer rows come.

    Keeps the invariant that row p of both tables belongs to position p.
    """

    cos_PD: Tensor
    sin_PD: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.head_size = config.head_size
        self.theta = config.rope_theta
        self.max_positions = config.max_positions
        # Not persistent: the tables follow from the config and belong to no checkpoint.
        self.register_buffer("cos_PD", torch.empty(0, config.head_size), persistent=False)
        self.register_buffer("sin_PD", torch.empty(0, config.head_size), persistent=False)

    def forward(self, position_ids_N: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines `(cos_N1D, sin_N1D)` of each token's position."""
        if self.cos_PD.shape[0] < self.max_positions:
            self.grow(int(position_ids_N.max()) + 1)
        return self.cos_PD[position_ids_N][:, None], self.sin_PD[position_ids_N][:, None]

    def grow(self, needed: int) -> None:
        """Make the tables at least `needed` positions long."""
        if needed <= self.cos_PD.shape[0]:
            return
        assert needed <= self.max_positions, f"position {needed - 1} of {self.max_positions}"
        n_positions = min(max(needed, 2 * self.cos_PD.shape[0], 512), self.max_positions)
        device = self.cos_PD.device
        half = torch.arange(0, self.head_size, 2, dtype=torch.float32, device=device)
        frequencies = 1.0 / self.theta ** (half / self.head_size)
        positions = torch.arange(n_positions, dtype=torch.float32, device=device)
        angles = torch.outer(positions, frequencies)
        # The first half's sine is negative: see `rotate`.
        cos, sin = angles.cos(), angles.sin()
        self.cos_PD = torch.cat((cos, cos), dim=1)
        self.sin_PD = torch.cat((-sin, sin), dim=1)


def rotate(x_NHD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) of a head by its token's angle (RoFormer, section 3.4.2).

    `sin_N1D` carries the sign, so that swapping the halves is all that is left to do.
    """
    half = x_NHD.shape[-1] // 2
    swapped = torch.cat((x_NHD[..., half:], x_NHD[..., :half]), dim=-1)
    return (x_NHD * cos_N1D + swapped * sin_N1D).to(x_NHD.dtype)


class DecoderLayer(nn.Module):
    """One layer: attention, then the gated feed-forward, each normed before and added after."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        heads_width = config.n_query_heads * config.head_size
        keys_width = config.n_key_heads * config.head_size
        width, inner = config.width, config.feed_forward_width
        self.n_query_heads = config.n_query_heads
        self.n_key_heads = config.n_key_heads
        self.head_size = config.head_size
        self.attention_norm = RmsNorm(width, config.norm_epsilon)
        self.qkv = Linear(width, heads_width + 2 * keys_width, bias=config.qkv_bias)
        self.head_norm = HeadNorm(config) if config.qk_norm else None
        self.output = Linear(heads_width, width, bias=config.output_bias)
        self.feed_forward_norm = RmsNorm(width, config.norm_epsilon)
        self.gate_up = Linear(width, 2 * inner, bias=config.mlp_bias)
        self.down = Linear(inner, width, bias=config.mlp_bias)

    def forward(
        self,
        layer_index: int,
        hidden_NE: Tensor,
        rotary_N1D: tuple[Tensor, Tensor],
        attend: Attend,
    ) -> Tensor:
        """The residual stream after this layer."""
        normed_NE = self.attention_norm(hidden_NE)
        hidden_NE = hidden_NE + self._attention(layer_index, normed_NE, rotary_N1D, attend)
        return hidden_NE + self._feed_forward(self.feed_forward_norm(hidden_NE))

    def _attention(
        self,
        layer_index: int,
        normed_NE: Tensor,
        rotary_N1D: tuple[Tensor, Tensor],
        attend: Attend,
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
        qk_NHD = rotate(qk_NHD, *rotary_N1D)
        q_NHD, k_NKD = qk_NHD[:, : self.n_query_heads], qk_NHD[:, self.n_query_heads :]
        o_NHD = attend(layer_index, q_NHD, k_NKD, v_NKD)
        mixed_NE: Tensor = self.output(o_NHD.flatten(1))
        return mixed_NE

    def _feed_forward(self, normed_NE: Tensor) -> Tensor:
        gate_NF, up_NF = self.gate_up(normed_NE).chunk(2, dim=1)
        added_NE: Tensor = self.down(functional.silu(gate_NF) * up_NF)
        return added_NE
