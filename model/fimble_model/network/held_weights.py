"""How many bytes a network's weights take, however they are stored: held, and before they are."""

from __future__ import annotations

from torch import nn

from fimble_model.network.architecture import Positions
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.native.linear import PanelLinear
from fimble_model.network.quantization import Int8Linear

__all__ = ["held_weight_bytes", "reckon_weight_bytes"]

_SCALE_BYTES = 4


def held_weight_bytes(network: nn.Module) -> int:
    """Bytes of all parameters, tied ones once, and of matrices in int8 with their scales.

    Padding of int8 panels, under a hundredth, is left out.
    """
    int8 = [each for each in network.modules() if isinstance(each, PanelLinear | Int8Linear)]
    return sum(parameter.nbytes for parameter in network.parameters()) + sum(
        linear.out_features * (linear.in_features + _SCALE_BYTES) for linear in int8
    )


def reckon_weight_bytes(
    config: NetworkConfig, placement: Placement, *, stored_bytes_per_number: int
) -> int:
    """What `held_weight_bytes` will be of a network that is not loaded yet, to a hundredth or two.

    Where matrices are rounded an embedding stays in the numbers that it is stored in, and a tied
    head gets a matrix of its own.
    """
    if placement.dtype not in (Dtype.INT8, Dtype.FP8):
        return config.n_parameters * placement.compute.itemsize
    n_embedding = config.vocabulary_size * config.width
    n_positions = config.max_positions * config.width * (config.positions is Positions.LEARNED)
    n_rounded = config.n_parameters - n_embedding * (not config.tied_embeddings) - n_positions
    bytes_each = placement.compute.itemsize if placement.is_weight_only else stored_bytes_per_number
    return n_rounded + (n_embedding + n_positions) * bytes_each
