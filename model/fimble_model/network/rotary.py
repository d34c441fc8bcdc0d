"""Rotary positions: the frequencies of each kind of scaling, their tables, and the turning.

Owns the tables, which grow as longer rows come. Never knows of layers or caches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fimble_model.network.architecture import LinearRope, Llama3Rope, YarnRope
from fimble_model.network.config import NetworkConfig

__all__ = ["Rotary", "build_frequencies", "rotate"]


class Rotary(nn.Module):
    """Tables of rotary cosines and signed sines in float32, grown as longer rows come.

    Keeps the invariant that row p of both tables belongs to position p.
    """

    cos_PD: Tensor
    sin_PD: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._config = config
        self.max_positions = config.max_positions
        scaling = config.rope_scaling
        self._factor = scaling.attention_factor if isinstance(scaling, YarnRope) else 1.0
        # Not persistent: the tables follow from the config and belong to no checkpoint.
        self.register_buffer("cos_PD", torch.empty(0, config.turned_size), persistent=False)
        self.register_buffer("sin_PD", torch.empty(0, config.turned_size), persistent=False)

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
        frequencies = build_frequencies(self._config, device)
        positions = torch.arange(n_positions, dtype=torch.float32, device=device)
        angles = torch.outer(positions, frequencies)
        cos, sin = angles.cos() * self._factor, angles.sin() * self._factor
        # The first half's sine is negative: see `rotate`.
        self.cos_PD = torch.cat((cos, cos), dim=1)
        self.sin_PD = torch.cat((-sin, sin), dim=1)


def build_frequencies(config: NetworkConfig, device: torch.device) -> Tensor:
    """How far each pair of a head turns from one position to the next, in radians."""
    size = config.turned_size
    exponents = torch.arange(0, size, 2, dtype=torch.float32, device=device) / size
    frequencies = 1.0 / config.rope_theta**exponents
    scaling = config.rope_scaling
    if isinstance(scaling, LinearRope):
        return frequencies / scaling.factor
    if isinstance(scaling, Llama3Rope):
        return _blend_llama3(frequencies, scaling)
    if isinstance(scaling, YarnRope):
        return _blend_yarn(frequencies, scaling, size, config.rope_theta)
    return frequencies


def _blend_llama3(frequencies: Tensor, scaling: Llama3Rope) -> Tensor:
    """By how often a frequency turns within the rows that the model was first trained on."""
    n_turns = scaling.original_positions * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept_share = ((n_turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (kept_share + (1 - kept_share) / scaling.factor)


def _blend_yarn(frequencies: Tensor, scaling: YarnRope, size: int, theta: float) -> Tensor:
    """YaRN, section 3.2: a ramp over the dimensions from all kept to all divided."""

    def dimension_that_turns(n_turns: float) -> float:
        longest = scaling.original_positions / (2 * math.pi * n_turns)
        return size * math.log(longest) / (2 * math.log(theta))

    first, last = map(dimension_that_turns, (scaling.beta_fast, scaling.beta_slow))
    if scaling.truncates:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    # A ramp of no length would divide by zero; the same sliver as everywhere else.
    length = last - first or 0.001
    pairs = torch.arange(size // 2, dtype=torch.float32, device=frequencies.device)
    divided_share = ((pairs - first) / length).clamp(0, 1)
    return frequencies * (1 - divided_share) + frequencies / scaling.factor * divided_share


def rotate(x_NHD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) of a head by its token's angle (RoFormer, section 3.4.2).

    `sin_N1D` carries the sign, so that swapping the halves is all that is left to do. Where the
    tables are narrower than a head, its first part is turned and the rest stays.
    """
    size = cos_N1D.shape[-1]
    if size < x_NHD.shape[-1]:
        turned_NHD = rotate(x_NHD[..., :size], cos_N1D, sin_N1D)
        return torch.cat((turned_NHD, x_NHD[..., size:]), dim=-1)
    half = size // 2
    swapped = torch.cat((x_NHD[..., half:], x_NHD[..., :half]), dim=-1)
    return (x_NHD * cos_N1D + swapped * sin_N1D).to(x_NHD.dtype)
