"""Int8 weights in panels, as the native kernels read them.

Owns how a weight matrix is laid out. The layout is that of `struct linear` in
kernels.h. Never reads checkpoints.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from fimble_model.network.levels import Levels, round_to_levels
from fimble_model.network.native.library import PANEL, LinearStruct, load_library
from fimble_model.network.native.workspace import Workspace

__all__ = ["PanelLinear"]

_GROUP = PANEL // 2


class PanelLinear(nn.Module):
    """A linear layer with one symmetric int8 scale per output channel, in panels of 16 channels.

    `is_paired` says that the outputs are two halves, gate and up, which a pass of the native
    network multiplies as it goes. Keeps the invariant that `struct` describes its tensors.
    """

    def __init__(
        self, weight: Tensor | Levels, bias: Tensor | None, *, is_paired: bool = False
    ) -> None:
        super().__init__()
        levels_VE, scale_V = weight if isinstance(weight, Levels) else round_to_levels(weight)
        self.out_features, self.in_features = levels_VE.shape
        order = _channel_order(self.out_features, is_paired=is_paired)
        self._panels = _to_panels(_reorder(levels_VE, order))
        self._scales = _reorder(scale_V, order)
        self._bias = None if bias is None else _reorder(bias.float(), order)
        self._workspace = Workspace()
        self.struct = LinearStruct(
            panels=self._panels.data_ptr(),
            scales=self._scales.data_ptr(),
            bias=None if self._bias is None else self._bias.data_ptr(),
            n_inputs=self.in_features,
            n_outputs=self.out_features,
            n_panels=len(order) // PANEL,
            is_paired=is_paired,
        )

    def forward(self, x_NE: Tensor) -> Tensor:
        """Float32 products, each row's from itself alone, bit for bit."""
        library = load_library()
        assert library is not None, "panels without the native library"
        x_NE = x_NE.float().contiguous()
        y_NE = x_NE.new_empty(x_NE.shape[0], self.out_features)
        self._workspace.check(
            library.fimble_multiply(
                *(ctypes.byref(self.struct), x_NE.data_ptr(), x_NE.shape[0], y_NE.data_ptr()),
                self._workspace.address,
            )
        )
        return y_NE


def _channel_order(n_outputs: int, *, is_paired: bool) -> Tensor:
    """The channel at each place of the panels, in order; `n_outputs` stands for padding."""
    if not is_paired:
        return _padded_to(torch.arange(n_outputs), PANEL, n_outputs)
    gate, up = torch.arange(n_outputs).view(2, -1)
    groups = [_padded_to(half, _GROUP, n_outputs).view(-1, _GROUP) for half in (gate, up)]
    return torch.stack(groups, dim=1).flatten()


def _padded_to(indices: Tensor, multiple: int, filler: int) -> Tensor:
    return nn.functional.pad(indices, (0, -len(indices) % multiple), value=filler)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """Rows in the panels' order, zeros where it is padded; the rows themselves if they lie so."""
    if torch.equal(order, torch.arange(len(x))):
        return x.contiguous()
    padded = torch.cat((x, x.new_zeros(1, *x.shape[1:])))
    return padded[order].contiguous()


def _to_panels(levels_VE: Tensor) -> Tensor:
    """[panels][pairs of inputs][channels of a panel][2]."""
    n_channels, n_inputs = levels_VE.shape
    paired = nn.functional.pad(levels_VE, (0, n_inputs % 2))
    return paired.view(n_channels // PANEL, PANEL, -1, 2).transpose(1, 2).contiguous()
