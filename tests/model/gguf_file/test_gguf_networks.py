"""Laws of reading a network from GGUF: the numbers of the folder that the file was made from."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers.integrations.gguf.dequant import dequantize

from fimble_model.network.attention import DenseCausal
from fimble_model.network.checkpoint import open_checkpoint
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.weights import load_network
from fimble_testing.checkpoints import make_tiny_checkpoint
from fimble_testing.gguf_files import write_gguf

PLACEMENT = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
KINDS = {each.name: each for each in gguf.GGMLQuantizationType}
VARIANTS: dict[str, dict[str, object]] = {
    "llama": {"family": "llama", "tie_word_embeddings": False},
    "llama, attention biases": {"family": "llama", "attention_bias": True},
    "llama, a head size of its own": {"family": "llama", "head_dim": 20},
    "llama, linear": {
        "family": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 50_000.0, "factor": 4.0},
    },
    "qwen2, yarn": {
        "family": "qwen2",
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 50_000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 80,
        },
    },
    "qwen3": {"family": "qwen3"},
    "qwen3_moe": {"family": "qwen3_moe", "norm_topk_prob": True},
    "granite": {"family": "granite"},
    "gemma": {"family": "gemma"},
    "stablelm": {"family": "stablelm", "use_qkv_bias": True},
    "stablelm, normed heads": {"family": "stablelm", "qk_layernorm": True},
    "stablelm, parallel": {"family": "stablelm", "use_parallel_residual": True},
    "starcoder2": {"family": "starcoder2"},
    "gpt_bigcode": {"family": "gpt_bigcode"},
    "falcon, as the 7B": {"family": "falcon"},
    "falcon, as the 40B": {
        "family": "falcon",
        "new_decoder_architecture": True,
        "num_kv_heads": 2,
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_family_reads_as_from_its_folder(variant: str, tmp_path: Path) -> None:
    """The config and every parameter, bit for bit where nothing was rounded."""
    make_tiny_checkpoint(tmp_path, **VARIANTS[variant])  # type: ignore[arg-type]  # a table of options
    path = write_gguf(tmp_path, tmp_path / "model.gguf")
    with open_checkpoint(tmp_path) as source, open_checkpoint(path) as read:
        assert read.config == source.config
        assert read.parameter_names == source.parameter_names
        for name in source.parameter_names:
            difference = (read.read(name) - source.read(name)).abs().max().item()
            assert difference < 1e-6, name


def _logits(place: Path) -> torch.Tensor:
    transformer = load_network(place, PLACEMENT)
    token_ids = torch.arange(3, 40)
    with torch.inference_mode():
        attend = DenseCausal(n_rows=1, n_tokens=len(token_ids))
        hidden = transformer(token_ids, torch.arange(len(token_ids)), attend)
        return transformer.logits(hidden)


@pytest.mark.parametrize(("kind", "tolerance"), [("F32", 1e-4), ("F16", 0.01), ("Q8_0", 0.1)])
def test_logits_differ_by_the_rounding_alone(kind: str, tolerance: float, tmp_path: Path) -> None:
    make_tiny_checkpoint(
        tmp_path, family="llama", hidden_size=96, intermediate_size=160, initializer_range=0.05
    )
    path = write_gguf(tmp_path, tmp_path / "model.gguf", KINDS[kind])
    expected, found = _logits(tmp_path), _logits(path)
    assert (expected - found).abs().max().item() < tolerance * expected.std().item()


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"])
def test_quantised_blocks_mean_what_transformers_takes_them_for(kind: str, tmp_path: Path) -> None:
    """Blocks of random levels, widened by another implementation than the one we use."""
    make_tiny_checkpoint(tmp_path, family="qwen2", hidden_size=256, num_attention_heads=8)
    n_values, n_bytes = gguf.GGML_QUANT_SIZES[KINDS[kind]]
    rows = np.random.default_rng(0).integers(0, 48, (80, 256 // n_values * n_bytes), np.uint8)
    blocks = {"blk.1.ffn_up.weight": (KINDS[kind], rows)}
    path = write_gguf(tmp_path, tmp_path / "model.gguf", blocks=blocks)
    expected = dequantize(torch.from_numpy(rows), int(KINDS[kind]))
    with open_checkpoint(path) as read:
        found = read.read("layers.1.gate_up.weight")[80:]
    assert torch.allclose(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-9)
    assert found.abs().max() > 0
