"""Where a network runs is chosen from what the machine has, or refused in plain words."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fimble_model.errors import CheckpointError, DeviceError
from fimble_model.network import device as device_module
from fimble_model.network import quantization
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import (
    Dtype,
    Placement,
    choose_placement,
    plan_native_threads,
    plan_threads,
)
from fimble_model.network.families import build_config_values, parse_config
from fimble_model.network.quantization import Int8Linear
from fimble_model.network.weights import load_network, random_network
from fimble_testing.checkpoints import make_tiny_checkpoint
from fimble_testing.ragged_rows import CachedRow, run_rows

CONFIG = NetworkConfig(
    n_layers=1,
    width=16,
    n_query_heads=2,
    n_key_heads=1,
    head_size=8,
    feed_forward_width=24,
    vocabulary_size=32,
    max_positions=64,
)


def _pretend_cuda(monkeypatch: pytest.MonkeyPatch, n_devices: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)


@pytest.mark.parametrize(
    ("n_gpus", "has_fbgemm", "device", "dtype"),
    [
        (0, True, "cpu", Dtype.INT8),
        (0, False, "cpu", Dtype.FLOAT32),
        (1, True, "cuda", Dtype.BFLOAT16),
    ],
)
def test_auto_takes_the_best_there_is(
    monkeypatch: pytest.MonkeyPatch,
    n_gpus: int,
    has_fbgemm: bool,
    device: str,
    dtype: Dtype,
) -> None:
    """A GPU in bfloat16, else int8 where there are fast kernels for it, else float32."""
    _pretend_cuda(monkeypatch, n_gpus)
    monkeypatch.setattr(device_module, "has_fbgemm", lambda: has_fbgemm)
    monkeypatch.setattr(device_module, "has_fast_native_kernels", lambda: False)
    assert choose_placement() == Placement(device=device, dtype=dtype)


def test_native_kernels_bring_int8_where_torch_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either kind of kernels is enough."""
    _pretend_cuda(monkeypatch, 0)
    monkeypatch.setattr(device_module, "has_fbgemm", lambda: False)
    monkeypatch.setattr(device_module, "has_fast_native_kernels", lambda: True)
    assert choose_placement().dtype is Dtype.INT8
    assert choose_placement().wants_native


def test_explicit_choices_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user asks for is what is used, where the machine has it."""
    _pretend_cuda(monkeypatch, 2)
    found = choose_placement(device="cpu", dtype="float32", n_threads=3)
    assert found == Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=3)
    found = choose_placement(device="cuda:1", dtype="float32")
    assert found == Placement(device="cuda:1", dtype=Dtype.FLOAT32)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"device": "tpu"}, "'tpu'"),
        ({"device": "cuda:x"}, "'cuda:x'"),
        ({"device": "cuda:4"}, "1 CUDA devices"),
        ({"device": "cpu", "dtype": "int4"}, "'int4'"),
        ({"device": "cpu", "dtype": "bfloat16"}, "int8 or float32 on the CPU"),
        ({"device": "cpu", "dtype": "fp8"}, "8.9"),
        ({"n_threads": 0}, "n_threads"),
        ({"n_threads": 5000}, "n_threads"),
    ],
    ids=str,
)
def test_what_the_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, choice: dict[str, object], words: str
) -> None:
    """The message says what is there instead."""
    _pretend_cuda(monkeypatch, 1)
    with pytest.raises(DeviceError, match=words):
        choose_placement(**choice)  # type: ignore[arg-type]  # a table of keyword arguments


def test_native_passes_are_shared_among_few_cores() -> None:
    """All of a small machine, half of a larger one, and never more than memory can feed."""
    assert [plan_native_threads(n) for n in (1, 2, 3, 4, 8, 64)] == [1, 2, 2, 2, 4, 8]


def test_small_networks_run_on_one_thread() -> None:
    """Sharing microseconds of work costs more than it saves; large ones take half the cores."""
    assert plan_threads(n_parameters=3_000_000, n_cores=8) == 1
    assert plan_threads(n_parameters=500_000_000, n_cores=1) == 1
    assert plan_threads(n_parameters=500_000_000, n_cores=4) == 2
    assert plan_threads(n_parameters=500_000_000, n_cores=64) == 4


@pytest.mark.parametrize("free_head", [False, True])
def test_an_int8_checkpoint_is_near_its_float32_self(free_head: bool, tmp_path: Path) -> None:
    """Quantising at load, tied or not, changes logits by rounding only."""
    make_tiny_checkpoint(
        tmp_path, family="qwen2", tokenizer=False, tie_word_embeddings=not free_head
    )
    token_ids = torch.arange(60)
    logits = {}
    for dtype in (Dtype.FLOAT32, Dtype.INT8):
        network = load_network(tmp_path, Placement(device="cpu", dtype=dtype, n_threads=1))
        (logits[dtype],) = run_rows(network, [CachedRow(network.config, 64)], [token_ids])
    error = (logits[Dtype.INT8] - logits[Dtype.FLOAT32]).norm() / logits[Dtype.FLOAT32].norm()
    # Weights this wild would be a bad network; a trained one is nearer.
    assert error.item() < 0.1


def test_older_cpus_use_fewer_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where products of full levels would saturate, weights use 64, and stay near."""
    monkeypatch.setattr(quantization, "largest_weight_level", lambda: 64)
    generator = torch.Generator().manual_seed(0)
    weight, rows = torch.randn(2, 64, 64, generator=generator)
    exact = rows @ weight.T
    error = (Int8Linear(weight, None)(rows) - exact).norm() / exact.norm()
    assert error.item() < 0.03


def test_int8_keeps_the_embedding_as_it_is_stored(tmp_path: Path) -> None:
    """Looking rows up needs no more bits than the checkpoint has."""
    make_tiny_checkpoint(tmp_path, tokenizer=False, dtype=torch.bfloat16)
    network = load_network(tmp_path, Placement(device="cpu", dtype=Dtype.INT8, n_threads=1))
    assert network.embedding.weight.dtype == torch.bfloat16


def test_a_loaded_network_is_frozen() -> None:
    """Nothing that serves asks for gradients."""
    for dtype in (Dtype.FLOAT32, Dtype.INT8):
        network = random_network(CONFIG, Placement(device="cpu", dtype=dtype))
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied_embeddings": False, "rope_theta": 5e5},
        {"qk_norm": True, "qkv_bias": True, "output_bias": True},
        {"qkv_bias": True},
        {"qkv_bias": True, "output_bias": True, "mlp_bias": True},
    ],
    ids=str,
)
def test_a_config_survives_its_own_json(changes: dict[str, object]) -> None:
    """What we write for others is what we would read."""
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]  # a table of fields
    assert parse_config(build_config_values(config)) == config


def test_a_config_that_no_family_can_say_is_refused() -> None:
    """No family has head norms and biases in the feed-forward part."""
    config = dataclasses.replace(CONFIG, qk_norm=True, mlp_bias=True)
    with pytest.raises(CheckpointError, match="can describe"):
        build_config_values(config)


@pytest.mark.parametrize(
    "module",
    [
        "fimble_model",
        "fimble_model.errors",
        "fimble_model.network.config",
        "fimble_model.network.families",
    ],
)
def test_torch_sleeps_until_a_model_is_loaded(module: str) -> None:
    """Importing what only decides leaves torch alone."""
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bfloat16_on_a_gpu_is_near_float32() -> None:
    """The same network on a GPU in bfloat16 gives nearly the same logits."""
    config = dataclasses.replace(CONFIG, n_layers=2, width=64, head_size=32)
    token_ids = torch.arange(32)
    cpu = random_network(config, Placement(device="cpu", dtype=Dtype.FLOAT32), seed=1)
    (expected,) = run_rows(cpu, [CachedRow(config, 64)], [token_ids])
    gpu = random_network(config, Placement(device="cuda", dtype=Dtype.BFLOAT16), seed=1)
    row = CachedRow(config, 64)
    row.slots = row.slots.to("cuda", torch.bfloat16)
    (found,) = run_rows(gpu, [row], [token_ids.cuda()])
    assert torch.allclose(found.cpu(), expected, rtol=0.05, atol=0.02)
