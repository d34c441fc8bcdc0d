"""Which size to train and to serve: a table of sizes, from what the hardware gives.

Owns the formulas, each with its source. Pure: speeds and times in, numbers out. Losses are of
the published fit for prose, so only their differences mean anything for code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fimble_model.network.config import NetworkConfig
from fimble_model.training.recipes import RECIPES

__all__ = ["SIZES", "Hardware", "SizePlan", "optimal_parameters", "plan_size", "plan_sizes"]

# Hoffmann et al. 2022 ("Chinchilla"): C = 6ND, about 20 tokens a parameter (table 3), and the
# parametric loss E + A/N^a + B/D^b (section 3.3, equation 10).
_FLOPS_PER_PARAMETER_TOKEN = 6
_TOKENS_PER_PARAMETER = 20.0
_LOSS = (1.69, 406.4, 0.34, 410.7, 0.28)
# float32 weights and gradients; Muon keeps one number a matrix weight, AdamW two a row of the
# embedding; the average of the last tenth is one more copy.
_BYTES_TRAINING_MATRIX = 4 + 4 + 4 + 4
_BYTES_TRAINING_EMBEDDING = 4 + 4 + 8 + 4
_BYTES_SERVED = {"int8": 1.0, "float32": 4.0}
_KV_BYTES = 4


def _shape(width: int, n_layers: int, vocabulary: int) -> NetworkConfig:
    head_size = 64 if width >= 384 else 32
    n_heads = width // head_size
    return NetworkConfig(
        n_layers=n_layers,
        width=width,
        n_query_heads=n_heads,
        n_key_heads=n_heads // 2 if n_heads % 2 == 0 else 1,
        head_size=head_size,
        feed_forward_width=3 * width,
        vocabulary_size=vocabulary,
        max_positions=2048,
        qk_norm=True,
    )


SIZES: tuple[tuple[str, NetworkConfig], ...] = (
    *((recipe.name, recipe.network) for recipe in RECIPES.values()),
    ("256 x 6", _shape(256, 6, 8192)),
    ("384 x 8", _shape(384, 8, 16384)),
    ("640 x 12", _shape(640, 12, 16384)),
    ("768 x 14", _shape(768, 14, 16384)),
    ("1024 x 24", _shape(1024, 24, 32768)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What trains and what serves.

    `training_flops` and `serving_flops` are operations a second that are reached, not promised;
    `serving_bytes_per_s` is how fast weights stream from memory.
    """

    training_flops: float
    serving_flops: float
    serving_bytes_per_s: float
    serving_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePlan:
    """One size: what training it in the given time means, and what serving it costs.

    `optimum_share` is the tokens it gets over those that are compute-optimal for it: above 1 it
    is trained past the optimum, which costs training time and saves serving time.
    """

    name: str
    n_parameters: int
    train_tokens: float
    optimum_share: float
    expected_loss: float
    training_bytes: float
    serving_bytes: dict[str, float]
    prefill_tokens_per_s: float
    decode_ms_per_token: float
    fits: bool


def optimal_parameters(training_flops: float, time_s: float) -> float:
    """The size that reaches the lowest loss in that time, by the 20 tokens a parameter.

    >>> round(optimal_parameters(1e12, 3600) / 1e6, 1)
    5.5
    """
    return math.sqrt(training_flops * time_s / (_FLOPS_PER_PARAMETER_TOKEN * _TOKENS_PER_PARAMETER))


def plan_size(name: str, network: NetworkConfig, hardware: Hardware, time_s: float) -> SizePlan:
    """What one size would be like on this hardware after that time."""
    n_parameters = network.n_parameters
    n_embedding = network.vocabulary_size * network.width
    flops_per_token = _FLOPS_PER_PARAMETER_TOKEN * n_parameters
    train_tokens = hardware.training_flops * time_s / flops_per_token
    cache_bytes = (
        2 * network.n_layers * network.n_key_heads * network.head_size
        * network.max_positions * _KV_BYTES
    )  # fmt: skip
    serving = {kind: n_parameters * size + cache_bytes for kind, size in _BYTES_SERVED.items()}
    base, a, alpha, b, beta = _LOSS
    return SizePlan(
        name=name,
        n_parameters=n_parameters,
        train_tokens=train_tokens,
        optimum_share=train_tokens / (_TOKENS_PER_PARAMETER * n_parameters),
        expected_loss=base + a / n_parameters**alpha + b / max(train_tokens, 1.0) ** beta,
        training_bytes=_BYTES_TRAINING_MATRIX * (n_parameters - n_embedding)
        + _BYTES_TRAINING_EMBEDDING * n_embedding,
        serving_bytes=serving,
        # Prefill is bound by arithmetic; a decoded token reads every weight once.
        prefill_tokens_per_s=hardware.serving_flops / (2 * (n_parameters - n_embedding)),
        decode_ms_per_token=1000 * n_parameters / hardware.serving_bytes_per_s,
        fits=serving["int8"] <= hardware.serving_bytes,
    )


def plan_sizes(
    hardware: Hardware,
    time_s: float,
    sizes: Sequence[tuple[str, NetworkConfig]] = SIZES,
) -> list[SizePlan]:
    """All sizes, the smallest first."""
    plans = [plan_size(name, network, hardware, time_s) for name, network in sizes]
    return sorted(plans, key=lambda plan: plan.n_parameters)
