"""How many bytes a network's weights take, however they are stored."""

from __future__ import annotations

from torch import nn

from fimble_model.network.native.linear import PanelLinear
from fimble_model.network.quantization import Int8Linear

__all__ = ["held_weight_bytes"]

_SCALE_BYTES = 4


def held_weight_bytes(network: nn.Module) -> int:
    """Bytes of all parameters, tied ones once, and of matrices in int8 with their scales.

    Padding of int8 panels, under a hundredth, is left out.
    """
    int8 = [each for each in network.modules() if isinstance(each, PanelLinear | Int8Linear)]
    return sum(parameter.nbytes for parameter in network.parameters()) + sum(
        linear.out_features * (linear.in_features + _SCALE_BYTES) for linear in int8
    )
