"""Code models on the hub that are good at filling in the middle and that we can run.

Owns these facts: names, sizes, licences, shapes. They are for advice before anything is fetched;
what a checkpoint is, its own files say. Sources: the models' cards and config.json.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "KnownModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One model. `note` says what its licence or its training limits, in a few words."""

    repository: str
    n_parameters: int
    n_layers: int
    n_key_heads: int
    head_size: int
    context_tokens: int
    licence: str
    note: str = ""


CATALOGUE = (
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-0.5B",
        n_parameters=494_000_000,
        n_layers=24,
        n_key_heads=2,
        head_size=64,
        context_tokens=32_768,
        licence="apache-2.0",
    ),
    KnownModel(
        repository="deepseek-ai/deepseek-coder-1.3b-base",
        n_parameters=1_346_000_000,
        n_layers=24,
        n_key_heads=16,
        head_size=128,
        context_tokens=16_384,
        licence="deepseek",
        note="own licence: commercial use with use restrictions",
    ),
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-1.5B",
        n_parameters=1_544_000_000,
        n_layers=28,
        n_key_heads=2,
        head_size=128,
        context_tokens=32_768,
        licence="apache-2.0",
    ),
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-3B",
        n_parameters=3_086_000_000,
        n_layers=36,
        n_key_heads=2,
        head_size=128,
        context_tokens=32_768,
        licence="qwen-research",
        note="no commercial use",
    ),
    KnownModel(
        repository="JetBrains/Mellum-4b-base",
        n_parameters=4_019_000_000,
        n_layers=30,
        n_key_heads=24,
        head_size=128,
        context_tokens=8_192,
        licence="apache-2.0",
    ),
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-7B",
        n_parameters=7_616_000_000,
        n_layers=28,
        n_key_heads=4,
        head_size=128,
        context_tokens=131_072,
        licence="apache-2.0",
    ),
)
