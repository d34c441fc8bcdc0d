"""Code models on the hub that are good at filling in the middle and that we can run.

Owns these facts: names, sizes, licences, shapes. They are for advice before anything is fetched;
what a checkpoint is, its own files say. Sources: the models' cards and config.json.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "KnownModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One model. `is_gated` where its terms must be agreed to on its page before it is fetched."""

    repository: str
    n_parameters: int
    n_layers: int
    n_key_heads: int
    head_size: int
    context_tokens: int
    licence: str
    is_gated: bool = False


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
        repository="bigcode/starcoderbase-1b",
        n_parameters=1_137_000_000,
        n_layers=24,
        n_key_heads=1,
        head_size=128,
        context_tokens=8_192,
        licence="bigcode-openrail-m",
        is_gated=True,
    ),
    KnownModel(
        repository="deepseek-ai/deepseek-coder-1.3b-base",
        n_parameters=1_346_000_000,
        n_layers=24,
        n_key_heads=16,
        head_size=128,
        context_tokens=16_384,
        licence="deepseek",
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
        repository="google/codegemma-2b",
        n_parameters=2_506_000_000,
        n_layers=18,
        n_key_heads=1,
        head_size=256,
        context_tokens=8_192,
        licence="gemma",
        is_gated=True,
    ),
    KnownModel(
        repository="stabilityai/stable-code-3b",
        n_parameters=2_795_000_000,
        n_layers=32,
        n_key_heads=32,
        head_size=80,
        context_tokens=16_384,
        licence="stabilityai-ai-community",
        is_gated=True,
    ),
    KnownModel(
        repository="bigcode/starcoder2-3b",
        n_parameters=3_030_000_000,
        n_layers=30,
        n_key_heads=2,
        head_size=128,
        context_tokens=16_384,
        licence="bigcode-openrail-m",
    ),
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-3B",
        n_parameters=3_086_000_000,
        n_layers=36,
        n_key_heads=2,
        head_size=128,
        context_tokens=32_768,
        licence="qwen-research",
    ),
    KnownModel(
        repository="ibm-granite/granite-3b-code-base-2k",
        n_parameters=3_483_000_000,
        n_layers=32,
        n_key_heads=32,
        head_size=80,
        context_tokens=2_048,
        licence="apache-2.0",
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
        repository="codellama/CodeLlama-7b-hf",
        n_parameters=6_739_000_000,
        n_layers=32,
        n_key_heads=32,
        head_size=128,
        context_tokens=16_384,
        licence="llama2",
    ),
    KnownModel(
        repository="bigcode/starcoder2-7b",
        n_parameters=7_174_000_000,
        n_layers=32,
        n_key_heads=4,
        head_size=128,
        context_tokens=16_384,
        licence="bigcode-openrail-m",
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
    KnownModel(
        repository="ByteDance-Seed/Seed-Coder-8B-Base",
        n_parameters=8_250_000_000,
        n_layers=32,
        n_key_heads=8,
        head_size=128,
        context_tokens=32_768,
        licence="mit",
    ),
    KnownModel(
        repository="Qwen/Qwen2.5-Coder-14B",
        n_parameters=14_770_000_000,
        n_layers=48,
        n_key_heads=8,
        head_size=128,
        context_tokens=131_072,
        licence="apache-2.0",
    ),
    KnownModel(
        repository="mistralai/Codestral-22B-v0.1",
        n_parameters=22_247_000_000,
        n_layers=56,
        n_key_heads=8,
        head_size=128,
        context_tokens=32_768,
        licence="mnpl-0.1",
        is_gated=True,
    ),
)
