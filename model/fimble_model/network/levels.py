"""A matrix in int8: whole levels, and one scale for each of its rows, the output channels.

Owns the rounding, the same for a matrix that is rounded as it is loaded and one that was stored so.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Levels", "round_to_levels"]

_MOST = 127
# A channel of zeros is divided by this; far below any weight that matters.
_SMALLEST_MAGNITUDE = 1e-30


class Levels(NamedTuple):
    """`levels_VE` in int8 and `scale_V` in float32: their product is the matrix."""

    levels_VE: Tensor
    scale_V: Tensor

    def widen(self) -> Tensor:
        """The matrix in float32."""
        return self.levels_VE.float() * self.scale_V[:, None]


def round_to_levels(weight_VE: Tensor) -> Levels:
    """The nearest levels, a channel's largest weight being the last one."""
    scale_V = weight_VE.abs().amax(dim=1).clamp_min(_SMALLEST_MAGNITUDE) / _MOST
    return Levels((weight_VE / scale_V[:, None]).round_().to(torch.int8), scale_V.float())
