"""Tiny random checkpoints, written by transformers itself, in each family that we run."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging

from fimble_testing.tiny_tokenizers import build_tokenizer_json

__all__ = ["make_tiny_checkpoint"]

_FAMILIES = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}
_SHAPE = {
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
    config_class, model_class = _FAMILIES[family]
    head_size = {"head_dim": 16} if family == "qwen3" else {}
    torch.manual_seed(seed)
    model: PreTrainedModel = model_class(config_class(**(_SHAPE | head_size | changes)))
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
