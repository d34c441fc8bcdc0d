"""The choices in which decoders differ, beyond their sizes: norms, activations, positions, experts.

Owns their names and what makes a choice impossible by itself. Knows neither files nor families,
and never imports torch.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = [
    "Activation",
    "Experts",
    "LinearRope",
    "Llama3Rope",
    "NormKind",
    "Positions",
    "Residual",
    "RopeScaling",
    "YarnRope",
]


class NormKind(enum.Enum):
    """Root mean square with a gain; or mean and variance, with a gain and a bias."""

    RMS = "rms"
    LAYER = "layer"


class Activation(enum.Enum):
    """The function inside the feed-forward part; `GELU_TANH` is its usual approximation."""

    SILU = "silu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    RELU = "relu"


class Positions(enum.Enum):
    """Queries and keys turned by their position, or a learned vector added for each."""

    ROTARY = "rotary"
    LEARNED = "learned"


class Residual(enum.Enum):
    """How attention and feed-forward are added: one after the other, or both to the same stream,
    each behind a norm of its own or both behind one."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    PARALLEL_ONE_NORM = "parallel, one norm"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearRope:
    """Positions divided by `factor` (Chen et al. 2023, position interpolation)."""

    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Llama3Rope:
    """Slow frequencies divided by `factor`, fast ones kept, those between blended (Llama 3.1).

    A frequency is slow where it turns fewer than `low_frequency_factor` times within
    `original_positions`, and fast above `high_frequency_factor` times.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnRope:
    """Frequencies blended by how often they turn within `original_positions` (Peng et al. 2023).

    Those that turn more than `beta_fast` times stay, those below `beta_slow` are divided by
    `factor`. `truncates` rounds the ramp's ends to whole dimensions. Queries and keys are
    multiplied by `attention_factor` each.
    """

    factor: float
    original_positions: int
    attention_factor: float
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncates: bool = True


RopeScaling = LinearRope | Llama3Rope | YarnRope


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Many small feed-forward parts in place of one; a router gives each token to a few.

    `normalises` has the chosen ones' weights sum to one. `dense_layers` keep one plain part.
    """

    n_experts: int
    n_chosen: int
    width: int
    normalises: bool
    dense_layers: frozenset[int] = frozenset()
