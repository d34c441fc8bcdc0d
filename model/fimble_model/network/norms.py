"""Norms of rows and of heads: root mean square or mean and variance, with learned gains.

Owns these modules. A norm that serves on the CPU works its gain out once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fimble_model.network.architecture import NormKind
from fimble_model.network.config import NetworkConfig

__all__ = ["HeadNorm", "LayerNorm", "RmsNorm", "build_norm"]


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


def _with_offset(weight: Tensor, offset: float) -> Tensor:
    return weight + offset if offset else weight


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis, with a learned gain, to which `offset` is added."""

    def __init__(self, width: int, epsilon: float, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon
        self.offset = offset
        self._served: _ServedGain | None = None

    def forward(self, x_NE: Tensor) -> Tensor:
        """Normalised rows; each row depends on itself alone."""
        if _is_serving_on_cpu(self.weight):
            if self._served is None:
                self._served = _ServedGain(_with_offset(self.weight, self.offset), self.epsilon)
            return self._served.norm(x_NE)
        gain = _with_offset(self.weight, self.offset)
        return functional.rms_norm(x_NE, self.weight.shape, gain, self.epsilon)


class LayerNorm(nn.Module):
    """Norm by mean and variance over the last axis, with a learned gain and bias."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x_NE: Tensor) -> Tensor:
        """Normalised rows; each row depends on itself alone."""
        return functional.layer_norm(x_NE, self.weight.shape, self.weight, self.bias, self.epsilon)


def build_norm(config: NetworkConfig) -> RmsNorm | LayerNorm:
    """A norm of the residual stream."""
    if config.norm is NormKind.LAYER:
        return LayerNorm(config.width, config.norm_epsilon)
    return RmsNorm(config.width, config.norm_epsilon, config.norm_offset)


class HeadNorm(nn.Module):
    """Norm of every query and key head, of the network's kind and without a bias.

    One gain for all query heads and one for all key heads; or one for each head, end to end.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        n_gains = (config.n_query_heads, config.n_key_heads) if config.qk_norm_per_head else (1, 1)
        self.query_weight = nn.Parameter(torch.ones(n_gains[0] * config.head_size))
        self.key_weight = nn.Parameter(torch.ones(n_gains[1] * config.head_size))
        self.n_query_heads = config.n_query_heads
        self.n_key_heads = config.n_key_heads
        self.head_size = config.head_size
        self.epsilon = config.norm_epsilon
        self.offset = config.norm_offset
        self.centres = config.norm is NormKind.LAYER
        self._served: _ServedGain | None = None

    def forward(self, qk_NHD: Tensor) -> Tensor:
        """Normalised heads; the H axis holds the query heads, then the key heads."""
        if self.centres:
            normed_NHD = functional.layer_norm(qk_NHD, qk_NHD.shape[-1:], eps=self.epsilon)
            return normed_NHD * self._gain()
        if _is_serving_on_cpu(self.query_weight):
            if self._served is None:
                self._served = _ServedGain(self._gain(), self.epsilon)
            return self._served.norm(qk_NHD)
        normed_NHD = functional.rms_norm(qk_NHD, qk_NHD.shape[-1:], None, self.epsilon)
        return normed_NHD * self._gain()

    def _gain(self) -> Tensor:
        gain_HD = torch.cat(
            (
                self.query_weight.view(-1, self.head_size).expand(self.n_query_heads, -1),
                self.key_weight.view(-1, self.head_size).expand(self.n_key_heads, -1),
            )
        )
        return _with_offset(gain_HD, self.offset)
