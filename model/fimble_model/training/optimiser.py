"""How weights move: Muon for the matrices of the layers, AdamW for embeddings and norms.

Owns both update rules' settings and the choice of which parameter goes where. Never knows of
data, time or checkpoints; the learning rates are scaled from outside (`schedule`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer

__all__ = ["Muon", "OptimiserSettings", "Optimisers", "orthogonalise"]

# The quintic of Newton-Schulz that pushes singular values to about 1 in five steps
# (Jordan et al., "Muon: an optimizer for hidden layers", 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_N_NEWTON_SCHULZ_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """Learning rates at full height.

    The matrix rate was the best of 0.01, 0.02 and 0.04 after 100 steps of `fimble-nano`, one
    trial each; the others are guessed.
    """

    matrix_rate: float = 0.01
    embedding_rate: float = 0.004
    norm_rate: float = 0.004
    momentum: float = 0.95
    clip_norm: float = 1.0
    # AdamW for the matrices too: for comparing alone.
    is_adam_only: bool = False

    def scaled(self, scale: float) -> OptimiserSettings:
        """The same at other heights: weights that are good already want lower rates."""
        return replace(
            self,
            matrix_rate=self.matrix_rate * scale,
            embedding_rate=self.embedding_rate * scale,
            norm_rate=self.norm_rate * scale,
        )


def orthogonalise(matrices_BMN: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly, for a stack of them."""
    a, b, c = _QUINTIC
    is_tall = matrices_BMN.shape[-2] > matrices_BMN.shape[-1]
    x_BMN: Tensor = matrices_BMN.mT if is_tall else matrices_BMN
    # A GPU multiplies bfloat16 many times faster, and the quintic forgives it (Jordan et al.).
    dtype = x_BMN.dtype
    x_BMN = x_BMN.bfloat16() if x_BMN.device.type == "cuda" else x_BMN
    x_BMN = x_BMN / (x_BMN.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_N_NEWTON_SCHULZ_STEPS):
        gram_BMM = x_BMN @ x_BMN.mT
        x_BMN = a * x_BMN + (b * gram_BMM + c * gram_BMM @ gram_BMM) @ x_BMN
    return (x_BMN.mT if is_tall else x_BMN).to(dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is orthogonalised, matrix by matrix, in float32.

    torch.optim.Muon orthogonalises in bfloat16, which CPUs without AMX emulate hundreds of
    times slower, and it cannot see that one parameter holds several matrices. Each group has
    one parameter and `parts`, the row counts of the matrices stacked in it.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[nn.Parameter, tuple[int, ...]]],
        *,
        rate: float,
        momentum: float,
    ) -> None:
        groups = [{"params": [parameter], "parts": parts} for parameter, parts in parameters]
        super().__init__(groups, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure here
        """Move every parameter once. Matrices of one shape are orthogonalised together."""
        assert closure is None, "closures are for line searches"
        same_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            (parameter,) = group["params"]
            direction = self._direction(parameter, group["momentum"])
            matrices = torch.split_with_sizes(parameter, group["parts"])
            parts = torch.split_with_sizes(direction, group["parts"])
            for matrix, part in zip(matrices, parts, strict=True):
                same_shape[tuple(part.shape)].append((matrix, part, group["lr"]))
        for (n_rows, n_columns), moves in same_shape.items():
            directions = orthogonalise(torch.stack([part for _, part, _ in moves]))
            # A tall matrix needs larger steps to move its outputs as much.
            scale = max(1.0, n_rows / n_columns) ** 0.5
            for (matrix, _, rate), direction in zip(moves, directions, strict=True):
                matrix.add_(direction, alpha=-rate * scale)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov's: the gradient, carried on by the velocity it has just joined."""
        gradient = parameter.grad
        assert gradient is not None, "step() comes after backward()"
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(gradient)
        velocity: Tensor = state["velocity"]
        velocity.lerp_(gradient, 1 - momentum)
        return gradient.lerp(velocity, momentum)


class Optimisers:
    """Both optimisers as one. Invariant: every parameter of the network is in exactly one."""

    def __init__(self, network: Transformer, settings: OptimiserSettings) -> None:
        self._network = network
        self._settings = settings
        matrices = [
            (parameter, _parts(name, network.config))
            for name, parameter in network.named_parameters()
            if name.startswith("layers.") and parameter.dim() == 2
        ]
        by_adam = [parameter for parameter, _ in matrices] if settings.is_adam_only else []
        taken = {id(parameter) for parameter, _ in matrices}
        others = [each for each in network.parameters() if id(each) not in taken]
        self._muon = (
            None
            if settings.is_adam_only
            else Muon(matrices, rate=settings.matrix_rate, momentum=settings.momentum)
        )
        self._adam = torch.optim.AdamW(
            [
                {"params": [p for p in others if p.dim() == 2], "lr": settings.embedding_rate},
                {"params": [p for p in others if p.dim() == 1], "lr": settings.norm_rate},
                *([{"params": by_adam, "lr": settings.matrix_rate}] if by_adam else []),
            ],
            betas=(0.9, 0.95),
            eps=1e-10,
            weight_decay=0.0,
        )
        self._full_rates = [group["lr"] for each in self._both for group in each.param_groups]

    @property
    def _both(self) -> tuple[torch.optim.Optimizer, ...]:
        return (self._adam,) if self._muon is None else (self._muon, self._adam)

    def step(self, *, rate_scale: float) -> float:
        """Clip, move once at `rate_scale` of the full rates, clear; returns the gradients' norm."""
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip_norm)
        groups = (group for each in self._both for group in each.param_groups)
        for group, full_rate in zip(groups, self._full_rates, strict=True):
            group["lr"] = full_rate * rate_scale
        for each in self._both:
            each.step()
            each.zero_grad(set_to_none=True)
        return float(norm)

    def state(self) -> dict[str, object]:
        """Everything that the next step depends on, for a checkpoint."""
        muon = {} if self._muon is None else {"muon": self._muon.state_dict()}
        return {**muon, "adam": self._adam.state_dict()}

    def restore(self, state: dict[str, object]) -> None:
        """Take over what `state` returned."""
        if self._muon is not None:
            self._muon.load_state_dict(state["muon"])  # type: ignore[arg-type]  # torch's own dicts
        self._adam.load_state_dict(state["adam"])  # type: ignore[arg-type]  # torch's own dicts


def _parts(name: str, config: NetworkConfig) -> tuple[int, ...]:
    """Row counts of the matrices that are stacked in one parameter of a layer."""
    if name.endswith("qkv.weight"):
        keys_width = config.n_key_heads * config.head_size
        return (config.n_query_heads * config.head_size, keys_width, keys_width)
    if name.endswith("gate_up.weight"):
        return (config.feed_forward_width, config.feed_forward_width)
    if name.endswith(("output.weight", "down.weight")):
        return (config.width,)
    raise AssertionError(f"no rule for {name}")
