"""Tiny random checkpoints of families that only transformers runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CodeGenConfig,
    CodeGenForCausalLM,
    FalconMambaConfig,
    FalconMambaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)
from transformers.utils import logging

from fimble_model.text.tokenizer import parse_tokenizer
from fimble_testing.tiny_tokenizers import CONTROL_STRINGS, build_tokenizer_json

__all__ = ["FOREIGN_FAMILIES", "write_foreign_checkpoint"]

_N_IDS = parse_tokenizer(build_tokenizer_json("fimble")).n_ids
_COMMON: dict[str, Any] = {
    "vocab_size": _N_IDS,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_MAKERS: dict[str, Callable[[], Any]] = {
    "gpt_neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(
            **_COMMON,
            hidden_size=48,
            intermediate_size=80,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            initializer_range=0.2,
        )
    ),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(
            **_COMMON,
            hidden_size=48,
            ffn_dim=80,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            word_embed_proj_dim=48,
            init_std=0.2,
        )
    ),
    "codegen": lambda: CodeGenForCausalLM(
        CodeGenConfig(
            **_COMMON,
            n_embd=64,
            n_layer=2,
            n_head=4,
            n_positions=512,
            n_ctx=512,
            rotary_dim=8,
            initializer_range=0.2,
        )
    ),
    "falcon_mamba": lambda: FalconMambaForCausalLM(
        FalconMambaConfig(
            **_COMMON,
            hidden_size=32,
            state_size=4,
            num_hidden_layers=2,
            initializer_range=0.2,
        )
    ),
}
FOREIGN_FAMILIES = tuple(_MAKERS)
_STATEMENT: dict[str, object] = {"fim_family": "fimble", "fim_orders": ["spm"]}


def write_foreign_checkpoint(
    folder: Path, family: str = "gpt_neox", *, states_format: bool = True
) -> Any:
    """Write a checkpoint into a new folder, and give the network that it came from."""
    torch.manual_seed(0)
    network: Any = _MAKERS[family]()
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
