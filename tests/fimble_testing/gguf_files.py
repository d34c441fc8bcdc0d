"""A checkpoint folder as the GGUF file that llama.cpp's converter would make of it.

Written from what that converter does to each family's tensors, not from how we read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

__all__ = ["ARCHITECTURES", "write_gguf"]

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "granite": "granite",
    "gemma": "gemma",
    "stablelm": "stablelm",
    "starcoder2": "starcoder2",
    "gpt_bigcode": "starcoder",
    "falcon": "falcon",
    "phi3": "phi3",
}
_KEYS = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size", "n_embd"),
    "block_count": ("num_hidden_layers", "n_layer"),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_hidden_size"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.key_length": ("head_dim",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
}
_NUMBERS = {
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "norm_epsilon", "layer_norm_epsilon"),
    "embedding_scale": ("embedding_multiplier",),
    "residual_scale": ("residual_multiplier",),
    "attention.scale": ("attention_multiplier",),
    "logit_scale": ("logits_scaling",),
}


def write_gguf(
    folder: Path,
    path: Path,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    splitting: str | None = "qwen2",
    says: Mapping[str, object] | None = None,
    blocks: Mapping[str, tuple[gguf.GGMLQuantizationType, np.ndarray]] | None = None,
) -> Path:
    """Write `path` from a folder; matrices in `kind`, vectors in float32.

    `says` are further metadata: a bool, int, str or list each; None takes an entry out. `blocks`
    are quantised numbers to write as they are, in place of a tensor of the file.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    architecture = ARCHITECTURES[config["model_type"]]
    with closing(gguf.GGUFWriter(path, architecture)) as writer:
        _add_shape(writer, architecture, config)
        if (folder / "tokenizer.json").exists():
            _add_vocabulary(writer, folder, splitting, int(config["vocab_size"]))
        for name, value in (says or {}).items():
            _add(writer, name, value)
        for name, numbers in _convert(folder, config, architecture).items():
            if blocks is not None and name in blocks:
                its_kind, rows = blocks[name]
                writer.add_tensor(name, rows, raw_dtype=its_kind)
            elif numbers.ndim == 1 or name == "position_embd.weight":
                writer.add_tensor(name, numbers)
            else:
                quantised = gguf.quants.quantize(numbers, kind)
                writer.add_tensor(name, quantised, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return path


def _add_shape(writer: gguf.GGUFWriter, architecture: str, config: Mapping[str, Any]) -> None:
    for name, theirs in _KEYS.items():
        if (value := _first(config, theirs)) is not None:
            writer.add_uint32(f"{architecture}.{name}", value)
    for name, theirs in _NUMBERS.items():
        if (value := _first(config, theirs)) is not None:
            writer.add_float32(f"{architecture}.{name}", value)
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        writer.add_uint32(f"{architecture}.attention.head_count_kv", 1)
    if not (rope := config.get("rope_parameters") or {}):
        return
    writer.add_float32(f"{architecture}.rope.freq_base", rope["rope_theta"])
    share = rope.get("partial_rotary_factor", 1.0)
    head_size = config["hidden_size"] // config["num_attention_heads"]
    writer.add_uint32(f"{architecture}.rope.dimension_count", int(share * head_size))
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_string(f"{architecture}.rope.scaling.type", rope["rope_type"])
        writer.add_float32(f"{architecture}.rope.scaling.factor", rope["factor"])
        if original := rope.get("original_max_position_embeddings"):
            writer.add_uint32(f"{architecture}.rope.scaling.original_context_length", original)


def _add(writer: gguf.GGUFWriter, name: str, value: object) -> None:
    if value is None:
        for held in writer.kv_data:
            held.pop(name, None)
    elif isinstance(value, bool):
        writer.add_bool(name, value)
    elif isinstance(value, int):
        writer.add_uint32(name, value)
    elif isinstance(value, str):
        writer.add_string(name, value)
    else:
        assert isinstance(value, list)
        writer.add_array(name, value)


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def _add_vocabulary(
    writer: gguf.GGUFWriter, folder: Path, splitting: str | None, n_ids: int
) -> None:
    """The tokens; ids without one are said to be unused."""
    parsed = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids: dict[str, int] = parsed["model"]["vocab"]
    controls = {each["content"] for each in parsed["added_tokens"]}
    texts = sorted(ids, key=ids.__getitem__)
    assert [ids[text] for text in texts] == list(range(len(texts)))
    merges = [each if isinstance(each, str) else " ".join(each) for each in
              parsed["model"]["merges"]]  # fmt: skip
    is_pieces = bool(parsed["model"].get("byte_fallback"))
    kinds = []
    for text in texts:
        is_byte = is_pieces and text.startswith("<0x")
        kinds.append(3 if text in controls else 6 if is_byte else 1)
    texts += [f"[PAD{index}]" for index in range(len(texts), n_ids)]
    kinds += [5] * (n_ids - len(kinds))
    writer.add_tokenizer_model("llama" if is_pieces else "gpt2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    if is_pieces:
        made = {merge.replace(" ", ""): -float(rank) for rank, merge in enumerate(merges)}
        writer.add_token_scores([made.get(text, -1e6) for text in texts])
        return
    writer.add_token_merges(merges)
    if splitting is not None:
        writer.add_tokenizer_pre(splitting)


def _convert(folder: Path, config: Mapping[str, Any], architecture: str) -> dict[str, np.ndarray]:
    arch = next(each for each, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(arch, _first(config, _KEYS["block_count"]))
    tensors = load_file(folder / "model.safetensors")
    written: dict[str, np.ndarray] = {}
    for key, numbers in _stack(tensors).items():
        stem, _, end = key.rpartition(".")
        name = f"{names.get_name(stem)}.{end}"
        assert not name.startswith("None"), key
        written[name] = _change(name, numbers.astype(np.float32), config, architecture)
    return written


def _stack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Experts one upon the other, and so the norms of single heads."""
    plain: dict[str, np.ndarray] = {}
    stacks: dict[str, dict[int, np.ndarray]] = {}
    for key, numbers in tensors.items():
        words = key.split(".")
        place = next((i + 1 for i, word in enumerate(words) if word in ("experts", "norms")), 0)
        if not place:
            plain[key] = numbers
            continue
        index = int(words[place])
        kept = words[: place - 1] if words[place - 1] == "norms" else words[:place]
        stacks.setdefault(".".join([*kept, *words[place + 1 :]]), {})[index] = numbers
    return plain | {
        key: np.stack([parts[index] for index in sorted(parts)]) for key, parts in stacks.items()
    }


def _change(
    name: str, numbers: np.ndarray, config: Mapping[str, Any], architecture: str
) -> np.ndarray:
    if architecture in ("llama", "granite") and (".attn_q." in name or ".attn_k." in name):
        n_heads = config["num_attention_heads"]
        if ".attn_k." in name:
            n_heads = config["num_key_value_heads"]
        shaped = numbers.reshape(n_heads, 2, numbers.shape[0] // n_heads // 2, *numbers.shape[1:])
        return shaped.swapaxes(1, 2).reshape(numbers.shape)
    if architecture == "gemma" and name.endswith("norm.weight"):
        return numbers + 1
    if architecture == "falcon" and ".attn_qkv." in name:
        n_heads = config["num_attention_heads"]
        n_keys = config["num_kv_heads"] if config.get("new_decoder_architecture") else 1
        if not config.get("new_decoder_architecture") and not config.get("multi_query", True):
            n_keys = n_heads
        size = config["hidden_size"] // n_heads
        groups = numbers.reshape(n_keys, n_heads // n_keys + 2, size, *numbers.shape[1:])
        parts = (groups[:, :-2], groups[:, -2], groups[:, -1])
        return np.concatenate([part.reshape(-1, *numbers.shape[1:]) for part in parts])
    return numbers
