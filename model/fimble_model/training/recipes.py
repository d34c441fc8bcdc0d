"""The models we know how to make: shape, rows and time under a name.

Owns these numbers. Never builds anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fimble_model.network.config import NetworkConfig
from fimble_model.training.faults import TrainingError
from fimble_model.training.mix import CorpusMix

__all__ = ["RECIPES", "Recipe", "find_recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One model. `row_tokens` is the longest context it is trained on, and says it can serve.

    `states_repository_context` has its config.json say that its prompts show pieces of other
    files. All models here learn from such prompts; one says so only where `fimble-eval
    surroundings` has measured that it gains by them beside the project memory. fimble-nano does
    not: 0.561 bits a character without them, 0.555 with them, and as many lines exact.
    """

    name: str
    network: NetworkConfig
    row_tokens: int
    n_rows: int
    time_s: float
    states_repository_context: bool = False
    mix: CorpusMix = field(
        default_factory=lambda: CorpusMix(n_chars=120_000_000, package_chars=1_500_000)
    )


# Sized so that two shared CPU cores show it about ten million tokens in an hour and a half; that
# this is the best size for that time is guessed. Widths are multiples of 32 for the int8 kernels.
_NANO = Recipe(
    name="fimble-nano",
    network=NetworkConfig(
        n_layers=4,
        width=192,
        n_query_heads=6,
        n_key_heads=2,
        head_size=32,
        feed_forward_width=512,
        vocabulary_size=4096,
        max_positions=1024,
        qk_norm=True,
    ),
    row_tokens=1024,
    n_rows=2,
    time_s=5400.0,
)

# For more hours of two CPU cores: `fimble-nano` with twice its layers, grown from its weights
# (`--from`), so that nothing it has learned is learned again. After an hour and a half of a shared
# core it was better by too little to ship (`eval/results/ablation-fimble-nano-*.md`).
_SMALL = replace(
    _NANO, name="fimble-small", network=replace(_NANO.network, n_layers=8), time_s=10800.0
)

# For one large GPU: about a billion tokens in 20 minutes. At that time the loss expected is flat
# from 20M to 120M parameters, so the size is what a CPU serves well. A trial run on a GPU is due.
_BASE = Recipe(
    name="fimble-base",
    network=NetworkConfig(
        n_layers=10,
        width=512,
        n_query_heads=8,
        n_key_heads=4,
        head_size=64,
        feed_forward_width=1536,
        vocabulary_size=16384,
        max_positions=2048,
        qk_norm=True,
    ),
    row_tokens=2048,
    n_rows=32,
    time_s=1200.0,
    mix=CorpusMix(n_chars=1_000_000_000, package_chars=8_000_000),
)

RECIPES = {recipe.name: recipe for recipe in (_NANO, _SMALL, _BASE)}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name."""
    if name not in RECIPES:
        raise TrainingError(
            expected=f"one of the models {', '.join(RECIPES)}",
            found=repr(name),
            to_do="Choose one of them.",
        )
    return RECIPES[name]
