"""Inside a layer's feed-forward part: linear layers, activations, and experts to choose from.

Owns these modules and the layout of their parameters (gate and up in one matrix). Each token's
result depends on that token alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from fimble_model.network import architecture
from fimble_model.network.architecture import Activation
from fimble_model.network.config import NetworkConfig

__all__ = ["Embedding", "Experts", "Linear", "choose_activation"]


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


def choose_activation(config: NetworkConfig) -> Callable[[Tensor], Tensor]:
    """What stands between a feed-forward part's matrices.

    Where it is gated, the first half of the columns gates the second.
    """
    function = _FUNCTIONS[config.activation]
    if not config.gated:
        return function

    def gate(gate_up_NF: Tensor) -> Tensor:
        gate_NF, up_NF = gate_up_NF.chunk(2, dim=1)
        return function(gate_NF) * up_NF

    return gate


class Experts(nn.Module):
    """Feed-forward parts, and the router that weighs them for each token.

    The router stays in float: whom a token goes to must not follow from rounding.
    """

    def __init__(self, config: NetworkConfig, shape: architecture.Experts) -> None:
        super().__init__()
        self.shape = shape
        self.router = _Router(config.width, shape.n_experts)
        self.parts = nn.ModuleList(_Expert(config, shape.width) for _ in range(shape.n_experts))

    def forward(self, normed_NE: Tensor) -> Tensor:
        """The chosen experts' results, weighted; each expert meets only its own tokens."""
        weights_NX = self.router(normed_NE).softmax(dim=-1, dtype=torch.float32)
        weights_NC, chosen_NC = weights_NX.topk(self.shape.n_chosen, dim=-1)
        if self.shape.normalises:
            weights_NC = weights_NC / weights_NC.sum(dim=-1, keepdim=True)
        weights_NC = weights_NC.to(normed_NE.dtype)
        added_NE = torch.zeros_like(normed_NE)
        # In the experts' order, so that a token's sum has one order whoever shares the pass.
        for expert_index in chosen_NC.unique().tolist():
            tokens, places = torch.where(chosen_NC == expert_index)
            result = self.parts[expert_index](normed_NE[tokens])
            added_NE.index_add_(0, tokens, result * weights_NC[tokens, places, None])
        return added_NE


class _Expert(nn.Module):
    def __init__(self, config: NetworkConfig, inner: int) -> None:
        super().__init__()
        self.gate_up = Linear(config.width, 2 * inner, bias=False)
        self.down = Linear(inner, config.width, bias=False)
        self._activate = choose_activation(config)

    def forward(self, x_NE: Tensor) -> Tensor:
        added_NE: Tensor = self.down(self._activate(self.gate_up(x_NE)))
        return added_NE


class _Router(nn.Module):
    """One score an expert, with the same bits whoever shares the pass on a CPU."""

    def __init__(self, width: int, n_experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_experts, width))

    def forward(self, x_NE: Tensor) -> Tensor:
        if x_NE.device.type != "cpu":
            return functional.linear(x_NE, self.weight)
        # Matrices of one size: kernels add in another order for another number of rows.
        n_rows = len(x_NE)
        x_IRE = functional.pad(x_NE, (0, 0, 0, -n_rows % _ROWS)).view(-1, _ROWS, x_NE.shape[1])
        scores_IRX = torch.bmm(x_IRE, self.weight.t().expand(len(x_IRE), -1, -1))
        return scores_IRX.flatten(0, 1)[:n_rows]


_ROWS = 8

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    Activation.SILU: functional.silu,
    Activation.RELU: functional.relu,
    Activation.GELU: functional.gelu,
    Activation.GELU_TANH: partial(functional.gelu, approximate="tanh"),
}
