"""Shapes of networks by name, without weights: for random ones, to measure speed with.

Owns the list. The sizes of the models that others publish are those of their config.json.
"""

from __future__ import annotations

from pathlib import Path

from fimble_model.errors import CheckpointError
from fimble_model.network.checkpoint import load_config
from fimble_model.network.config import NetworkConfig

__all__ = ["SHAPES", "find_shape"]

SHAPES = {
    # The upper end of what fits a CPU: 62.1 million parameters, 640 x 12.
    "fimble-base": NetworkConfig(
        n_layers=12,
        width=640,
        n_query_heads=10,
        n_key_heads=2,
        head_size=64,
        feed_forward_width=1728,
        vocabulary_size=16_384,
        max_positions=2048,
        qk_norm=True,
    ),
    "qwen2.5-coder-0.5b": NetworkConfig(
        n_layers=24,
        width=896,
        n_query_heads=14,
        n_key_heads=2,
        head_size=64,
        feed_forward_width=4864,
        vocabulary_size=151_936,
        max_positions=32_768,
        rope_theta=1e6,
        qkv_bias=True,
    ),
    "qwen2.5-coder-1.5b": NetworkConfig(
        n_layers=28,
        width=1536,
        n_query_heads=12,
        n_key_heads=2,
        head_size=128,
        feed_forward_width=8960,
        vocabulary_size=151_936,
        max_positions=32_768,
        rope_theta=1e6,
        qkv_bias=True,
    ),
    "qwen2.5-coder-7b": NetworkConfig(
        n_layers=28,
        width=3584,
        n_query_heads=28,
        n_key_heads=4,
        head_size=128,
        feed_forward_width=18_944,
        vocabulary_size=152_064,
        max_positions=32_768,
        rope_theta=1e6,
        qkv_bias=True,
        tied_embeddings=False,
    ),
}


def find_shape(name_or_path: str) -> NetworkConfig:
    """A shape by its name, or that of a config.json or of the folder that holds one.

    Raises `CheckpointError` where it is neither.
    """
    if name_or_path.lower() in SHAPES:
        return SHAPES[name_or_path.lower()]
    path = Path(name_or_path)
    folder = path.parent if path.name == "config.json" else path
    if not folder.is_dir():
        raise CheckpointError(
            expected=f"one of {', '.join(SHAPES)}, or the path of a config.json",
            found=repr(name_or_path),
            to_do="Name a shape, or a folder that holds a model's config.json.",
        )
    return load_config(folder)
