"""How a checkpoint states that its matrices are stored in int8, and what it calls their parts.

Owns that statement, which is the one of the compressed-tensors format "int-quantized" for weights
alone, and the scales' names there. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["INT8_STATEMENT", "scale_key_of", "states_int8"]

_WEIGHTS: Mapping[str, object] = {
    "num_bits": 8,
    "type": "int",
    "symmetric": True,
    "strategy": "channel",
    "dynamic": False,
}
INT8_STATEMENT: Mapping[str, object] = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": _WEIGHTS}},
    "ignore": ["lm_head"],
}


def states_int8(statement: object) -> bool:
    """Whether a config.json's `quantization_config` says what ours say: other forms differ."""
    if not isinstance(statement, Mapping):
        return False
    return all(statement.get(name) == value for name, value in INT8_STATEMENT.items())


def scale_key_of(weight_key: str) -> str:
    """The name of a matrix's scales.

    >>> scale_key_of("model.layers.0.mlp.up_proj.weight")
    'model.layers.0.mlp.up_proj.weight_scale'
    """
    return f"{weight_key}_scale"
