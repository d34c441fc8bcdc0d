"""From a trained network to the folder that every loader knows.

Owns the names and files of the export: `config.json` as Qwen3ForCausalLM, `model.safetensors`
in float16, the tokenizer's files. Never trains, never measures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor

from fimble_model.network.config import NetworkConfig
from fimble_model.training.storage import open_whole, write_text_whole
from fimble_model.training.tokenizer import END_TOKEN, PAD_TOKEN, SPECIAL_TOKENS

__all__ = ["PART_BYTES", "export_model", "save_tensors"]

Json = dict[str, object]

# Small enough for hosts and mail that refuse larger files.
PART_BYTES = 15_000_000
_INDEX_FILE = "model.safetensors.index.json"


def export_model(
    weights: Mapping[str, Tensor],
    config: NetworkConfig,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    repository_context: bool = False,
    part_bytes: int = PART_BYTES,
) -> None:
    """Write the model folder. `weights` are named as `Transformer.named_parameters` names them.

    `repository_context` states that the model has learned from samples with pieces of other files
    before them, so that serving may put them there.

    Weights of more than `part_bytes` are written in parts of at most that, with an index, as
    loaders of sharded checkpoints read them; one tensor is never split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.to(torch.float16).contiguous()
        for name, tensor in _public_tensors(weights, config).items()
    }
    save_tensors(tensors, folder, part_bytes)
    _write_json(folder / "config.json", _model_config(config, tokenizer, repository_context))
    _write_json(folder / "generation_config.json", _generation_config(tokenizer))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(config))
    tokenizer.save(str(folder / "tokenizer.json"))


def save_tensors(tensors: dict[str, Tensor], folder: Path, part_bytes: int) -> None:
    """Write a folder's weights in place of those it has, in parts where they are large."""
    parts = _split(tensors, part_bytes)
    for stale in (*folder.glob("model*.safetensors"), folder / _INDEX_FILE):
        stale.unlink(missing_ok=True)
    names = [f"model-{i + 1:05d}-of-{len(parts):05d}.safetensors" for i in range(len(parts))]
    if len(parts) == 1:
        names = ["model.safetensors"]
    for name, part in zip(names, parts, strict=True):
        with open_whole(folder / name) as file:
            file.write(save(part, metadata={"format": "pt"}))
    if len(parts) > 1:
        where = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        n_bytes = sum(tensor.nbytes for tensor in tensors.values())
        _write_json(
            folder / _INDEX_FILE, {"metadata": {"total_size": n_bytes}, "weight_map": where}
        )


def _split(tensors: dict[str, Tensor], part_bytes: int) -> list[dict[str, Tensor]]:
    """In their order, each part as full as it may be."""
    parts: list[dict[str, Tensor]] = [{}]
    for name, tensor in tensors.items():
        n_bytes = sum(other.nbytes for other in parts[-1].values())
        if parts[-1] and n_bytes + tensor.nbytes > part_bytes:
            parts.append({})
        parts[-1][name] = tensor
    return parts


def _public_tensors(weights: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, Tensor]:
    """Our names to Qwen3's; fused matrices are taken apart. The tied head is not stored."""
    tensors = {
        "model.embed_tokens.weight": weights["embedding.weight"],
        "model.norm.weight": weights["final_norm.weight"],
    }
    keys_width = config.n_key_heads * config.head_size
    qkv_rows = (config.n_query_heads * config.head_size, keys_width, keys_width)
    for layer_index in range(config.n_layers):
        ours, public = f"layers.{layer_index}", f"model.layers.{layer_index}"
        q_proj, k_proj, v_proj = torch.split_with_sizes(weights[f"{ours}.qkv.weight"], qkv_rows)
        gate_proj, up_proj = weights[f"{ours}.gate_up.weight"].chunk(2)
        tensors |= {
            f"{public}.input_layernorm.weight": weights[f"{ours}.attention_norm.weight"],
            f"{public}.self_attn.q_proj.weight": q_proj,
            f"{public}.self_attn.k_proj.weight": k_proj,
            f"{public}.self_attn.v_proj.weight": v_proj,
            f"{public}.self_attn.q_norm.weight": weights[f"{ours}.head_norm.query_weight"],
            f"{public}.self_attn.k_norm.weight": weights[f"{ours}.head_norm.key_weight"],
            f"{public}.self_attn.o_proj.weight": weights[f"{ours}.output.weight"],
            f"{public}.post_attention_layernorm.weight": weights[
                f"{ours}.feed_forward_norm.weight"
            ],
            f"{public}.mlp.gate_proj.weight": gate_proj,
            f"{public}.mlp.up_proj.weight": up_proj,
            f"{public}.mlp.down_proj.weight": weights[f"{ours}.down.weight"],
        }
    return tensors


def _model_config(config: NetworkConfig, tokenizer: Tokenizer, repository_context: bool) -> Json:
    assert config.tied_embeddings, "the export stores no head"
    assert config.qk_norm, "qwen3 has norms for queries and keys"
    biases = (config.qkv_bias, config.output_bias, config.mlp_bias)
    assert not any(biases), "qwen3 has no biases"
    statement: Json = {"fim_family": "fimble", "fim_orders": ["spm", "psm"]}
    if repository_context:
        statement["repository_context"] = True
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "dtype": "float16",
        "eos_token_id": tokenizer.token_to_id(END_TOKEN),
        "fimble": statement,
        "head_dim": config.head_size,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "initializer_range": 0.02,
        "intermediate_size": config.feed_forward_width,
        "max_position_embeddings": config.max_positions,
        "num_attention_heads": config.n_query_heads,
        "num_hidden_layers": config.n_layers,
        "num_key_value_heads": config.n_key_heads,
        "pad_token_id": tokenizer.token_to_id(PAD_TOKEN),
        "rms_norm_eps": config.norm_epsilon,
        # Older loaders read the first, transformers 5 the second.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_theta": config.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": config.vocabulary_size,
    }


def _generation_config(tokenizer: Tokenizer) -> Json:
    return {
        "do_sample": False,
        "eos_token_id": tokenizer.token_to_id(END_TOKEN),
        "pad_token_id": tokenizer.token_to_id(PAD_TOKEN),
    }


def _tokenizer_config(config: NetworkConfig) -> Json:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "additional_special_tokens": [
            token for token in SPECIAL_TOKENS if token not in (END_TOKEN, PAD_TOKEN)
        ],
        "clean_up_tokenization_spaces": False,
        "eos_token": END_TOKEN,
        "model_max_length": config.max_positions,
        "pad_token": PAD_TOKEN,
    }


def _write_json(path: Path, value: Json) -> None:
    write_text_whole(path, json.dumps(value, indent=2) + "\n")
