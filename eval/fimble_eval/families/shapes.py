"""Small random checkpoints of every family, written by transformers, to be measured against it.

Owns their shapes: what is hardest of each family is switched on. Never a real model's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SHAPES", "FamilyShape", "write_checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyShape:
    """A family's model type, what sets this checkpoint apart, and its entries of config.json."""

    model_type: str
    words: str
    values: Mapping[str, object]


_SIZES: dict[str, object] = {
    "vocab_size": 2048,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "initializer_range": 0.06,
}
_FUSED_SIZES = {
    name: value
    for name, value in _SIZES.items()
    if name not in ("intermediate_size", "num_key_value_heads")
}


def _shape(model_type: str, words: str, **values: object) -> FamilyShape:
    return FamilyShape(model_type=model_type, words=words, values=_SIZES | values)


SHAPES = (
    _shape(
        "llama",
        "linear rotary scaling",
        rope_parameters={"rope_type": "linear", "rope_theta": 1e5, "factor": 4.0},
    ),
    _shape("llama", "free head, biases", tie_word_embeddings=False, attention_bias=True),
    _shape(
        "llama",
        "llama3 rotary scaling",
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 5e5,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ),
    _shape(
        "qwen2",
        "yarn rotary scaling",
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 1e6,
            "factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ),
    _shape("qwen3", "normed heads", head_dim=64),
    _shape(
        "qwen3_moe",
        "8 experts, 2 a token",
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        norm_topk_prob=True,
        head_dim=32,
    ),
    _shape("mistral", "window of 100", sliding_window=100),
    _shape(
        "granite",
        "multipliers",
        embedding_multiplier=12.0,
        residual_multiplier=0.22,
        attention_multiplier=0.1,
        logits_scaling=4.0,
    ),
    _shape("gemma", "one key head", head_dim=64, num_key_value_heads=1),
    _shape("stablelm", "a quarter of each head turned", use_qkv_bias=True),
    _shape(
        "stablelm",
        "normed heads, parallel",
        qk_layernorm=True,
        use_parallel_residual=True,
    ),
    _shape("starcoder2", "window of 100, biases", sliding_window=100),
    FamilyShape(
        model_type="gpt_bigcode",
        words="one key head, learned positions",
        values={
            "vocab_size": 2048,
            "n_embd": 256,
            "n_inner": 1024,
            "n_layer": 4,
            "n_head": 8,
            "n_positions": 1024,
            "initializer_range": 0.06,
        },
    ),
    FamilyShape(
        model_type="falcon",
        words="parallel, grouped heads",
        values=_FUSED_SIZES | {"new_decoder_architecture": True, "num_kv_heads": 2},
    ),
)


def write_checkpoint(shape: FamilyShape, folder: Path, seed: int = 0) -> Any:
    """Write random weights into `folder`, and give transformers' network over them.

    Gains and biases are random too: at ones and zeros none would show where it went.
    """
    import torch
    import transformers

    library: Any = transformers
    library.logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = library.AutoConfig.for_model(
        shape.model_type, bos_token_id=None, eos_token_id=None, **shape.values
    )
    network = library.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.2)
    network.train(False)
    network.save_pretrained(folder)
    return network
