"""What config.json would say of the network in a GGUF file.

Owns the table of architectures that our own network runs: llama.cpp's word for each, and how its
metadata and tensors say what config.json says. Never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fimble_model.errors import CheckpointError
from fimble_model.gguf_file.header import GgufHeader

__all__ = ["MODEL_TYPES", "build_config", "is_ours"]

_Values = dict[str, object]

MODEL_TYPES: Mapping[str, str] = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3moe": "qwen3_moe",
    "granite": "granite",
    "gemma": "gemma",
    "stablelm": "stablelm",
    "starcoder2": "starcoder2",
    "starcoder": "gpt_bigcode",
    "falcon": "falcon",
}
"""llama.cpp's architectures that our network runs, and transformers' words for them."""

_OTHER_WORDS: Mapping[str, Mapping[str, str]] = {
    "gpt_bigcode": {
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
    },
    "falcon": {"intermediate_size": "ffn_hidden_size", "num_key_value_heads": "num_kv_heads"},
}


def is_ours(header: GgufHeader) -> bool:
    """Whether the architecture is one that our own network may run."""
    has_experts = bool(header.own("expert_count"))
    return header.architecture in MODEL_TYPES and not (
        has_experts and header.architecture != "qwen3moe"
    )


def build_config(header: GgufHeader) -> Mapping[str, object]:
    """The entries of config.json. Of a network that is not ours, only what its format needs.

    Raises `CheckpointError` where the metadata lacks a size, or a tensor says what no config can.
    """
    values = _read_statement(header)
    if not is_ours(header):
        return {"model_type": header.architecture} | values
    model_type = _find_type(header)
    words = _OTHER_WORDS.get(model_type, {})
    sizes = {words.get(name, name): value for name, value in _sizes(header).items()}
    return {"model_type": model_type} | sizes | _REFINERS[header.architecture](header) | values


def _find_type(header: GgufHeader) -> str:
    """llama.cpp calls Mistral's networks llama; the file's name for itself tells them apart."""
    name = " ".join(str(header.metadata.get(f"general.{key}", "")) for key in ("name", "basename"))
    is_mistral = any(word in name.lower() for word in ("mistral", "codestral"))
    if header.architecture == "llama" and is_mistral:
        return "mistral"
    return MODEL_TYPES[header.architecture]


def _sizes(header: GgufHeader) -> _Values:
    n_heads = _count(header, "attention.head_count")
    width = _count(header, "embedding_length")
    epsilon = header.own("attention.layer_norm_rms_epsilon")
    values: _Values = {
        "hidden_size": width,
        "num_hidden_layers": _count(header, "block_count"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": _count(header, "attention.head_count_kv", n_heads),
        "head_dim": _count(header, "attention.key_length", width // max(n_heads, 1)),
        "intermediate_size": _count(header, "feed_forward_length"),
        "max_position_embeddings": _count(header, "context_length"),
        "vocab_size": _embedding_rows(header),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "rope_parameters": _rope(header),
    }
    if epsilon is not None:
        return values | {"rms_norm_eps": epsilon}
    epsilon = header.own("attention.layer_norm_epsilon")
    names = ("layer_norm_eps", "norm_epsilon", "layer_norm_epsilon")
    return values | ({} if epsilon is None else dict.fromkeys(names, epsilon))


def _rope(header: GgufHeader) -> _Values:
    """Rotary positions; a file that carries factors of its own is refused: no config says them."""
    if "rope_freqs.weight" in header.tensors:
        raise CheckpointError(
            expected="rotary positions that the metadata describes",
            found="rope_freqs.weight, factors of the file's own",
            to_do="Use the model's safetensors.",
        )
    rope: _Values = {"rope_type": "default"}
    if (theta := header.own("rope.freq_base")) is not None:
        rope["rope_theta"] = theta
    kind = header.own("rope.scaling.type")
    if kind in (None, "none"):
        return rope
    rope |= {"rope_type": kind, "factor": header.own("rope.scaling.factor")}
    if (original := header.own("rope.scaling.original_context_length")) is not None:
        rope["original_max_position_embeddings"] = original
    return rope


def _refine_plain(header: GgufHeader) -> _Values:
    has_bias = "blk.0.attn_q.bias" in header.tensors
    return {"attention_bias": has_bias, "sliding_window": None}


def _refine_qwen2(header: GgufHeader) -> _Values:
    return {"use_sliding_window": False}


def _refine_qwen3_moe(header: GgufHeader) -> _Values:
    # That the shares of the chosen experts are made to sum to one is llama.cpp's own rule for it.
    return _refine_plain(header) | {
        "num_experts": _count(header, "expert_count"),
        "num_experts_per_tok": _count(header, "expert_used_count"),
        "moe_intermediate_size": _count(header, "expert_feed_forward_length"),
        "norm_topk_prob": True,
    }


def _refine_granite(header: GgufHeader) -> _Values:
    scales = {
        "embedding_multiplier": "embedding_scale",
        "residual_multiplier": "residual_scale",
        "attention_multiplier": "attention.scale",
        "logits_scaling": "logit_scale",
    }
    found = {name: header.own(theirs) for name, theirs in scales.items()}
    return _refine_plain(header) | {name: each for name, each in found.items() if each is not None}


def _refine_stablelm(header: GgufHeader) -> _Values:
    width, n_heads = _count(header, "embedding_length"), _count(header, "attention.head_count")
    n_turned = _count(header, "rope.dimension_count", width // n_heads)
    return {
        "use_qkv_bias": "blk.0.attn_q.bias" in header.tensors,
        "qk_layernorm": "blk.0.attn_q_norm.weight" in header.tensors,
        "use_parallel_residual": "blk.0.ffn_norm.weight" not in header.tensors,
        "partial_rotary_factor": n_turned * n_heads / width,
    }


def _refine_starcoder2(header: GgufHeader) -> _Values:
    return {"use_bias": "blk.0.attn_output.bias" in header.tensors, "sliding_window": None}


def _refine_starcoder(header: GgufHeader) -> _Values:
    return {"multi_query": header.own("attention.head_count_kv") == 1}


def _refine_falcon(header: GgufHeader) -> _Values:
    return {
        "new_decoder_architecture": "blk.0.attn_norm_2.weight" in header.tensors,
        "multi_query": header.own("attention.head_count_kv") == 1,
        "bias": "blk.0.attn_output.bias" in header.tensors,
    }


_REFINERS: Mapping[str, Callable[[GgufHeader], _Values]] = {
    "llama": _refine_plain,
    "qwen2": _refine_qwen2,
    "qwen3": _refine_plain,
    "qwen3moe": _refine_qwen3_moe,
    "granite": _refine_granite,
    "gemma": _refine_plain,
    "stablelm": _refine_stablelm,
    "starcoder2": _refine_starcoder2,
    "starcoder": _refine_starcoder,
    "falcon": _refine_falcon,
}


def _embedding_rows(header: GgufHeader) -> int:
    place = header.tensors.get("token_embd.weight")
    if place is None or len(place.shape) != 2:
        raise _lacking("the tensor token_embd.weight")
    return place.shape[0]


def _count(header: GgufHeader, name: str, default: int | None = None) -> int:
    found = header.own(name)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int):
        raise _lacking(f"a whole number {header.architecture}.{name}")
    return found


def _lacking(what: str) -> CheckpointError:
    return CheckpointError(
        expected=f"{what} in the GGUF file",
        found="none",
        to_do="Convert the model again with a llama.cpp of today, or choose another file.",
    )


def _read_statement(header: GgufHeader) -> _Values:
    """What our own export says of a model, as config.json's entry `fimble` does."""
    statement: _Values = {
        name: header.metadata[f"fimble.{name}"]
        for name in ("fim_family", "fim_orders", "untrained", "repository_context")
        if f"fimble.{name}" in header.metadata
    }
    return {"fimble": statement} if statement else {}
