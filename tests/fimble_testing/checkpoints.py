"""Tiny random checkpoints, written by transformers itself, in each family that we run."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from fimble_testing.tiny_tokenizers import build_tokenizer_json

__all__ = ["TINY_VARIANTS", "make_tiny_checkpoint"]

_SHAPE: dict[str, object] = {
    "vocab_size": 512,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 320,
    "rope_theta": 50_000.0,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,
}
_BIGCODE_SHAPE: dict[str, object] = {
    "vocab_size": 512,
    "n_embd": 48,
    "n_inner": 80,
    "n_layer": 3,
    "n_head": 6,
    "n_positions": 320,
    "initializer_range": 0.2,
}
_FALCON_SHAPE = {
    name: value
    for name, value in _SHAPE.items()
    if name not in ("intermediate_size", "num_key_value_heads")
} | {"ffn_hidden_size": 80, "hidden_dropout": 0.0, "attention_dropout": 0.0}

_SHAPES: dict[str, dict[str, object]] = {
    "qwen3": _SHAPE | {"head_dim": 16},
    "qwen2": _SHAPE,
    "llama": _SHAPE,
    "mistral": _SHAPE | {"sliding_window": None},
    "granite": _SHAPE
    | {
        "embedding_multiplier": 3.0,
        "residual_multiplier": 0.7,
        "attention_multiplier": 0.2,
        "logits_scaling": 2.0,
    },
    "gemma": _SHAPE | {"head_dim": 16},
    "stablelm": _SHAPE | {"partial_rotary_factor": 0.25},
    "starcoder2": _SHAPE,
    "gpt_bigcode": _BIGCODE_SHAPE,
    "falcon": _FALCON_SHAPE,
    "qwen3_moe": _SHAPE
    | {
        "head_dim": 16,
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    },
}


def _rope(kind: str, **values: object) -> dict[str, object]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 50_000.0, **values}}


TINY_VARIANTS: dict[str, dict[str, object]] = {
    "qwen3, tied": {"family": "qwen3"},
    "qwen3, free head": {"family": "qwen3", "tie_word_embeddings": False},
    "qwen3, attention biases": {"family": "qwen3", "attention_bias": True},
    "qwen3, a window in its last layer": {
        "family": "qwen3",
        "use_sliding_window": True,
        "sliding_window": 20,
        "max_window_layers": 2,
    },
    "qwen2, tied": {"family": "qwen2"},
    "qwen2, free head": {"family": "qwen2", "tie_word_embeddings": False},
    "qwen2, yarn": {
        "family": "qwen2",
        **_rope("yarn", factor=4.0, original_max_position_embeddings=80),
    },
    "llama, tied": {"family": "llama"},
    "llama, free head": {"family": "llama", "tie_word_embeddings": False},
    "llama, a key head for each query head": {"family": "llama", "num_key_value_heads": 6},
    "llama, one key head": {"family": "llama", "num_key_value_heads": 1},
    "llama, attention biases": {"family": "llama", "attention_bias": True},
    "llama, feed-forward biases": {"family": "llama", "mlp_bias": True},
    "llama, a head size of its own": {"family": "llama", "head_dim": 20},
    "llama, linear": {"family": "llama", **_rope("linear", factor=4.0)},
    "llama, dynamic": {"family": "llama", **_rope("dynamic", factor=2.0)},
    "llama, llama3": {
        "family": "llama",
        **_rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=128,
        ),
    },
    "llama, yarn as it is stated": {
        "family": "llama",
        **_rope(
            "yarn",
            factor=2.0,
            original_max_position_embeddings=100,
            attention_factor=1.3,
            beta_fast=16.0,
            beta_slow=2.0,
            truncate=False,
        ),
    },
    "mistral": {"family": "mistral"},
    "mistral, a window": {"family": "mistral", "sliding_window": 24},
    "mistral, a window of one block": {"family": "mistral", "sliding_window": 64},
    "granite": {"family": "granite"},
    "granite, biases": {"family": "granite", "attention_bias": True, "mlp_bias": True},
    "gemma": {"family": "gemma"},
    "gemma, one key head": {"family": "gemma", "num_key_value_heads": 1},
    "stablelm": {"family": "stablelm"},
    "stablelm, biases and half a head": {
        "family": "stablelm",
        "use_qkv_bias": True,
        "partial_rotary_factor": 0.5,
    },
    "stablelm, normed heads": {"family": "stablelm", "qk_layernorm": True},
    "stablelm, parallel": {"family": "stablelm", "use_parallel_residual": True},
    "starcoder2": {"family": "starcoder2"},
    "starcoder2, a window": {"family": "starcoder2", "sliding_window": 33},
    "starcoder2, no biases": {"family": "starcoder2", "use_bias": False},
    "gpt_bigcode": {"family": "gpt_bigcode"},
    "gpt_bigcode, a key head for each query head": {
        "family": "gpt_bigcode",
        "multi_query": False,
    },
    "falcon, as the 7B": {"family": "falcon"},
    "falcon, as the 40B": {
        "family": "falcon",
        "new_decoder_architecture": True,
        "num_kv_heads": 2,
        "bias": True,
    },
    "falcon, in steps": {"family": "falcon", "parallel_attn": False, "multi_query": False},
    "qwen3_moe": {"family": "qwen3_moe"},
    "qwen3_moe, normed weights and a dense layer": {
        "family": "qwen3_moe",
        "norm_topk_prob": True,
        "mlp_only_layers": [1],
    },
}
"""Families and their options by a name of their own: what `make_tiny_checkpoint` takes."""


def make_tiny_checkpoint(
    folder: Path,
    *,
    family: str = "qwen3",
    seed: int = 0,
    tokenizer: bool = True,
    shard_size: str = "1GB",
    dtype: torch.dtype = torch.float32,
    **changes: object,
) -> PreTrainedModel:
    """Write a checkpoint into `folder`, and give the reference network that it came from.

    `changes` are entries of the family's configuration. A small `shard_size` ("20KB") writes
    several shards and their index. The tokenizer has fewer tokens than the network.
    """
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **(_SHAPES[family] | changes))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # it has no annotations
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                # Norms begin as ones and biases as zeros: neither would show where it went.
                parameter.add_(torch.randn(parameter.shape) * 0.2)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    model.train(False)
    # Saving draws a progress bar on stderr, which no test wants to see.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
    model.save_pretrained(folder, max_shard_size=shard_size)
    if tokenizer:
        (folder / "tokenizer.json").write_text(build_tokenizer_json("qwen"), encoding="utf-8")
    return model
