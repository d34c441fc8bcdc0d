"""Rounded weights on a GPU: int8 or float8 levels with a scale an output; inputs keep their type.

Owns the rounding and the layer. Decoding reads every weight for each token, so half the bytes are
nearly half the time; sums are those of the inputs' type, and a row's depends on that row alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FP8_LARGEST", "WeightOnlyLinear", "quantize8", "quantize_fp8", "round_network"]

# The largest number of float8_e4m3fn (OCP 8-bit floating point, table 1).
FP8_LARGEST = 448.0
_SMALLEST_SCALE = 1e-30


def quantize8(weight_OE: Tensor) -> tuple[Tensor, Tensor]:
    """Int8 levels and each output's float32 scale: the nearest symmetric ones.

    >>> levels, scale = quantize8(torch.tensor([[1.0, -0.5, 0.0]]))
    >>> levels.tolist(), round(float(scale) * 127, 4)
    ([[127, -64, 0]], 1.0)
    """
    scale_O = weight_OE.float().abs().amax(dim=1).clamp_min(_SMALLEST_SCALE) / 127
    return (weight_OE.float() / scale_O[:, None]).round().to(torch.int8), scale_O


def quantize_fp8(weight_OE: Tensor) -> tuple[Tensor, Tensor]:
    """Weights in float8_e4m3fn and each output's float32 scale."""
    scale_O = weight_OE.float().abs().amax(dim=1).clamp_min(_SMALLEST_SCALE) / FP8_LARGEST
    return (weight_OE.float() / scale_O[:, None]).to(torch.float8_e4m3fn), scale_O


class WeightOnlyLinear(nn.Module):
    """A linear layer whose weights were rounded once: it serves, it does not train."""

    levels_OE: Tensor
    scale_O: Tensor
    bias: Tensor | None

    def __init__(self, weight_OE: Tensor, bias_O: Tensor | None, *, is_fp8: bool = False) -> None:
        super().__init__()
        self.out_features, self.in_features = weight_OE.shape
        levels_OE, scale_O = quantize_fp8(weight_OE) if is_fp8 else quantize8(weight_OE)
        self.register_buffer("levels_OE", levels_OE)
        self.register_buffer("scale_O", scale_O)
        self.register_buffer("bias", bias_O)

    def forward(self, x_NE: Tensor) -> Tensor:
        """Products `x_NO` in the inputs' type."""
        if x_NE.device.type == "cpu":
            product_NO = functional.linear(x_NE.float(), self.levels_OE.float())
            product_NO = (product_NO * self.scale_O).to(x_NE.dtype)
        else:
            # Its kernels need what only a GPU's machine has.
            from fimble_model.gpu import operations

            product_NO = operations.linear8(x_NE, self.levels_OE, self.scale_O)
        return product_NO if self.bias is None else product_NO + self.bias


def round_network(network: nn.Module, *, is_fp8: bool) -> None:
    """Round the weights of every linear layer in it, in place: for measuring what that costs."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                bias_O = None if child.bias is None else child.bias.detach()
                setattr(
                    parent, name, WeightOnlyLinear(child.weight.detach(), bias_O, is_fp8=is_fp8)
                )
