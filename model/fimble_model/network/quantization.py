"""Int8 weights on the CPU, through the FBGEMM kernels that PyTorch carries.

Owns how a linear layer is quantised and how its input is. Never reads checkpoints.

The law it keeps: a row's output depends on that row alone, bit for bit. Sums of int8 products
are exact in int32, so all it takes is that a row's scale is its own. Hence each row is divided
by its largest magnitude, quantised with one constant scale, and multiplied back; FBGEMM's own
dynamic form picks one scale for the whole batch and would break the law.
"""

from __future__ import annotations

import functools
import math
import warnings

import torch
from torch import Tensor, nn

from fimble_model.network.levels import Levels

__all__ = ["Int8Linear", "largest_weight_level"]

# A row in [-1, 1] becomes levels [1, 255] of an unsigned byte, 128 being zero.
_INPUT_SCALE = 1.0 / 127.0
_INPUT_ZERO = 128
# Rows of zeros are divided by this instead of zero; far below any activation that matters.
_SMALLEST_MAGNITUDE = 1e-30

_linear_with_static_input = (
    torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
)


class Int8Linear(nn.Module):
    """A linear layer with one symmetric int8 scale per output channel, packed once.

    Keeps the invariant that the packed weight never changes: it serves, it does not train.
    """

    def __init__(self, weight: Tensor | Levels, bias: Tensor | None) -> None:
        # NOTE: where FBGEMM sums fewer levels exactly, stored ones are rounded a second time.
        weight = weight.widen() if isinstance(weight, Levels) else weight
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else bias.float()
        self._packed = _pack(weight.float())

    def forward(self, x_NE: Tensor) -> Tensor:
        """Float32 products; each row is quantised by its own largest magnitude."""
        magnitude_N1 = torch.linalg.vector_norm(x_NE, math.inf, 1, True)
        magnitude_N1.clamp_min_(_SMALLEST_MAGNITUDE)
        product_NE: Tensor = _linear_with_static_input(
            x_NE / magnitude_N1, _INPUT_SCALE, _INPUT_ZERO, self._packed
        )
        product_NE.mul_(magnitude_N1)
        return product_NE if self.bias is None else product_NE.add_(self.bias)


def _pack(weight_VE: Tensor) -> torch.ScriptObject:
    levels = largest_weight_level()
    scale_V = weight_VE.abs().amax(dim=1).clamp_min(_SMALLEST_MAGNITUDE) / levels
    return _prepack((weight_VE / scale_V[:, None]).round_().to(torch.int8), scale_V)


def _prepack(levels_VE: Tensor, scale_V: Tensor) -> torch.ScriptObject:
    with warnings.catch_warnings():
        # Torch announces that quantised tensors will leave; the packed operators stay.
        warnings.simplefilter("ignore")
        quantised = torch._make_per_channel_quantized_tensor(
            levels_VE, scale_V.double(), torch.zeros(len(scale_V), dtype=torch.long), 0
        )
    packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(quantised, None)
    return packed


@functools.cache
def largest_weight_level() -> int:
    """127 where this CPU sums int8 products exactly, else 64.

    Without VNNI instructions FBGEMM adds two products in int16, which saturates: two times
    255 * 64 still fits, two times 255 * 127 does not. Rather than ask the CPU for its names,
    multiply the worst case and look.
    """
    n = 64
    worst = _prepack(torch.full((n, n), 127, dtype=torch.int8), torch.ones(n))
    rows = torch.full((n, n), 127.0)
    found: Tensor = _linear_with_static_input(rows, 1.0, _INPUT_ZERO, worst)
    return 127 if bool((found == 127 * 127 * n).all()) else 64
