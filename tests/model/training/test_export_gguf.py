"""Laws of the GGUF export: the same numbers under llama.cpp's names, the same ids, or a refusal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGUFValueType
from safetensors import safe_open

from fimble_eval.engine_speed.random_model import write_random_model
from fimble_model.engine.protocol import TokenId
from fimble_model.errors import CheckpointError
from fimble_model.loading import load
from fimble_model.network.config import NetworkConfig
from fimble_model.training.export_gguf import export_gguf

SMALL = NetworkConfig(
    n_layers=2,
    width=64,
    n_query_heads=4,
    n_key_heads=2,
    head_size=16,
    feed_forward_width=96,
    vocabulary_size=4160,
    max_positions=256,
    qk_norm=True,
)
_THEIRS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "model.layers.1.self_attn.q_proj.weight": "blk.1.attn_q.weight",
    "model.layers.1.self_attn.k_norm.weight": "blk.1.attn_k_norm.weight",
    "model.layers.0.self_attn.o_proj.weight": "blk.0.attn_output.weight",
    "model.layers.0.post_attention_layernorm.weight": "blk.0.ffn_norm.weight",
    "model.layers.0.mlp.gate_proj.weight": "blk.0.ffn_gate.weight",
    "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "small"
    write_random_model(folder, config=SMALL, seed=1)
    return folder


def test_every_tensor_is_there_once_with_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    export_gguf(folder, tmp_path / "small.gguf", "f32")
    found = {each.name: each.data for each in gguf.GGUFReader(tmp_path / "small.gguf").tensors}
    assert len(found) == 2 + 11 * SMALL.n_layers
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        for ours, theirs in _THEIRS.items():
            expected = tensors.get_tensor(ours).to(torch.float32).numpy()
            assert np.array_equal(found[theirs], expected), theirs


def test_the_shape_and_the_ids_are_the_model_s(folder: Path, tmp_path: Path) -> None:
    export_gguf(folder, tmp_path / "small.gguf", "q8_0")
    fields = gguf.GGUFReader(tmp_path / "small.gguf").fields
    assert fields["general.architecture"].contents() == "qwen3"
    assert fields["qwen3.block_count"].contents() == SMALL.n_layers
    assert fields["qwen3.attention.head_count_kv"].contents() == SMALL.n_key_heads
    assert fields["qwen3.attention.key_length"].contents() == SMALL.head_size
    texts = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert len(texts) == len(set(texts)) == len(kinds) == SMALL.vocabulary_size
    assert texts[0] == "<|endoftext|>"
    assert kinds[0] == gguf.TokenType.CONTROL
    assert fields["tokenizer.ggml.merges"].types[0] is GGUFValueType.ARRAY


def test_eight_bits_are_near(folder: Path, tmp_path: Path) -> None:
    for kind in ("f32", "q8_0"):
        export_gguf(folder, tmp_path / f"{kind}.gguf", kind)
    exact, near = (
        {each.name: each for each in gguf.GGUFReader(tmp_path / f"{kind}.gguf").tensors}
        for kind in ("f32", "q8_0")
    )
    name = "blk.0.attn_q.weight"
    assert near[name].tensor_type is gguf.GGMLQuantizationType.Q8_0
    numbers = gguf.quants.dequantize(near[name].data, gguf.GGMLQuantizationType.Q8_0)
    assert np.abs(numbers - exact[name].data).max() <= np.abs(exact[name].data).max() / 127


def test_a_random_model_loads_and_all_it_may_write_is_text(folder: Path) -> None:
    engine = load(folder, dtype="float32", n_threads=1)
    assert engine.model.n_parameters == SMALL.n_parameters
    for token_id in range(SMALL.vocabulary_size - 9, SMALL.vocabulary_size):
        assert engine.codec.decode([TokenId(token_id)]) == f" unused{token_id:05}"


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_random_model(tmp_path / "llama", config=dataclasses.replace(SMALL, qk_norm=False))
    with pytest.raises(CheckpointError, match="qwen3"):
        export_gguf(tmp_path / "llama", tmp_path / "out.gguf", "f16")
