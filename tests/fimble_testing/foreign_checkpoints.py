"""Tiny random checkpoints of networks that only transformers runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from fimble_model.text.tokenizer import parse_tokenizer
from fimble_testing.tiny_tokenizers import CONTROL_STRINGS, build_tokenizer_json

__all__ = ["CARRIED", "FOREIGN_FAMILIES", "write_foreign_checkpoint"]

_COMMON: dict[str, object] = {
    "vocab_size": parse_tokenizer(build_tokenizer_json("fimble")).n_ids,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
_SIZES: dict[str, object] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "short_factor": [1.0, 1.1, 1.2, 1.4, 1.6, 2.0],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 5.0, 9.0],
    "original_max_position_embeddings": 400,
}
_SHAPES: dict[str, dict[str, object]] = {
    "gpt_neox": _SIZES,
    "opt": _SIZES | {"ffn_dim": 80, "word_embed_proj_dim": 48, "init_std": 0.2},
    "codegen": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512, "rotary_dim": 8},
    # Windows of 40 tokens in every other layer.
    "gemma2": _SIZES | {"num_key_value_heads": 2, "head_dim": 12, "sliding_window": 40},
    # Kinds of positions that our own network lacks, in families that it has.
    "llama, longrope": _SIZES | {"num_key_value_heads": 2, "rope_parameters": _LONGROPE},
    "falcon, alibi": _SIZES
    | {"alibi": True, "hidden_dropout": 0.0, "attention_dropout": 0.0, "parallel_attn": False},
    # States that cannot be cropped, alone and beside attention.
    "falcon_mamba": {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 2},
    "falcon_h1": _SIZES
    | {
        "num_key_value_heads": 2,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
    },
}
FOREIGN_FAMILIES = tuple(_SHAPES)
CARRIED = ("falcon_mamba", "falcon_h1")
_STATEMENT: dict[str, object] = {"fim_family": "fimble", "fim_orders": ["spm"]}


def write_foreign_checkpoint(
    folder: Path, family: str = "gpt_neox", *, states_format: bool = True
) -> Any:
    """Write a checkpoint into a new folder, and give the network that it came from."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family.partition(",")[0], **(_COMMON | _SHAPES[family]))
    network: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # it has no annotations
    network.train(False)
    head: Any = network.get_output_embeddings()
    with torch.no_grad():
        # Never likeliest, so that a row goes on as far as it may: the first ids are controls.
        head.weight = torch.nn.Parameter(head.weight.clone())
        head.weight[: len(CONTROL_STRINGS)] = 0.0
    network.config.tie_word_embeddings = False
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
    network.save_pretrained(folder)
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["fimble"] = {"untrained": True} | (_STATEMENT if states_format else {})
    path.write_text(json.dumps(values), encoding="utf-8")
    (folder / "tokenizer.json").write_text(build_tokenizer_json("fimble"), encoding="utf-8")
    return network
