"""A model of ours as one GGUF file, so that llama.cpp can run the same weights.

Owns the mapping of a qwen3 checkpoint to that file. Token ids mean the same there, but text does
not: llama.cpp splits text by rules it knows by name, and ours, where a line end and the indentation
after it are one word, is none of them. So hand it ids, encoded by our tokenizer, as the
measurements do. The whole tokenizer.json goes into the file, too, where GGUF has a place for it:
Fimble reads such a file with that, and splits as in the folder.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import cast

import gguf
import numpy as np
import torch

from fimble_model.errors import CheckpointError
from fimble_model.network.checkpoint import Checkpoint, open_checkpoint
from fimble_model.network.config import NetworkConfig
from fimble_model.network.tensor_names import build_parts
from fimble_model.training.storage import place_whole

__all__ = ["GGUF_KINDS", "export_gguf"]

GGUF_KINDS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
_ARCHITECTURE = gguf.MODEL_ARCH.QWEN3
_KNOWN_FIELDS = ("rope_theta", "norm_epsilon", "tied_embeddings", "qk_norm")
# The nearest of the splittings that llama.cpp knows: single digits, and no merge over a line's end.
_NEAREST_SPLITTING = "qwen2"
_FIM_TOKENS = {
    "fim_pre": "<|fim_prefix|>",
    "fim_suf": "<|fim_suffix|>",
    "fim_mid": "<|fim_middle|>",
    "fim_rep": "<|repo_name|>",
    "fim_sep": "<|file_sep|>",
}


def export_gguf(folder: Path, path: Path, kind: str) -> None:
    """Write the model in `folder` to `path`; `kind` is a key of `GGUF_KINDS`.

    The file appears when it is whole. Vectors stay float32, as llama.cpp's own converter leaves
    them. Raises `CheckpointError` for a folder that holds no qwen3.
    """
    matrix_kind, file_kind = GGUF_KINDS[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_checkpoint(folder) as checkpoint, place_whole(path) as unfinished:
        config = checkpoint.config
        if not config.qk_norm or config.departures(but_for=_KNOWN_FIELDS):
            raise CheckpointError(
                expected="a model of qwen3's shape, which has norms for queries and keys",
                found=", ".join(config.departures(but_for=_KNOWN_FIELDS)) or "one without them",
                to_do="Use llama.cpp's own converter for this model.",
            )
        with closing(gguf.GGUFWriter(unfinished, gguf.MODEL_ARCH_NAMES[_ARCHITECTURE])) as writer:
            _add_shape(writer, config, folder.name)
            writer.add_file_type(file_kind)
            _add_vocabulary(writer, folder, config.vocabulary_size)
            _add_tensors(writer, checkpoint, matrix_kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()


def _add_shape(writer: gguf.GGUFWriter, config: NetworkConfig, name: str) -> None:
    writer.add_name(name)
    writer.add_context_length(config.max_positions)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.feed_forward_width)
    writer.add_head_count(config.n_query_heads)
    writer.add_head_count_kv(config.n_key_heads)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_freq_base(config.rope_theta)


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path, n_ids: int) -> None:
    """Tokens in the order of their ids; ids without a token are said to be unused."""
    written = (folder / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = json.loads(written)
    texts = [f"[unused {token_id}]" for token_id in range(n_ids)]
    kinds = [int(gguf.TokenType.UNUSED)] * n_ids
    for text, token_id in tokenizer["model"]["vocab"].items():
        texts[token_id], kinds[token_id] = text, int(gguf.TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        texts[added["id"]], kinds[added["id"]] = added["content"], int(gguf.TokenType.CONTROL)
    pairs = (
        pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]
    )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_NEAREST_SPLITTING)
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges(list(pairs))
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    end_id = values.get("eos_token_id")
    if isinstance(end_id, int):
        writer.add_eos_token_id(end_id)
    writer.add_add_bos_token(False)
    writer.add_string("tokenizer.huggingface.json", written)
    for use, text in _FIM_TOKENS.items():
        if text in texts:
            writer.add_uint32(f"tokenizer.ggml.{use}_token_id", texts.index(text))
    _add_statement(writer, values.get("fimble"))


def _add_statement(writer: gguf.GGUFWriter, statement: object) -> None:
    """What config.json says in its entry `fimble`: the format, and what it was trained for."""
    for name, value in statement.items() if isinstance(statement, dict) else ():
        if isinstance(value, bool):
            writer.add_bool(f"fimble.{name}", value)
        elif isinstance(value, str):
            writer.add_string(f"fimble.{name}", value)
        elif isinstance(value, list) and value:
            writer.add_array(f"fimble.{name}", value)


def _add_tensors(
    writer: gguf.GGUFWriter, checkpoint: Checkpoint, kind: gguf.GGMLQuantizationType
) -> None:
    names = gguf.get_tensor_name_map(_ARCHITECTURE, checkpoint.config.n_layers)
    parts = build_parts(checkpoint.config)
    for parameter_name in checkpoint.parameter_names:
        stacked = checkpoint.read(parameter_name, torch.float32).numpy()
        start = 0
        for part in parts[parameter_name]:
            numbers = stacked[start : start + part.shape[0]]
            start += part.shape[0]
            name = cast("str", names.get_name(part.key, try_suffixes=(".weight",)))
            _add_tensor(writer, name, numbers, kind)


def _add_tensor(
    writer: gguf.GGUFWriter, name: str, numbers: np.ndarray, kind: gguf.GGMLQuantizationType
) -> None:
    if numbers.ndim == 1:
        writer.add_tensor(name, numbers)
        return
    quantised = gguf.quants.quantize(numbers, kind)
    writer.add_tensor(name, quantised, raw_dtype=kind)
