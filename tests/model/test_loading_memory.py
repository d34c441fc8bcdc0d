"""Laws of memory at loading: little more than serving takes; too much is refused beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

import fimble_model
from fimble_model.errors import CheckpointError, DeviceError
from fimble_model.memory_need import MemoryNeed, find_free_bytes, refuse_too_large
from fimble_model.network.checkpoint import load_config
from fimble_model.network.device import Dtype, Kernels, Placement
from fimble_model.network.held_weights import held_weight_bytes, reckon_weight_bytes
from fimble_model.network.weights import load_network
from fimble_testing.checkpoints import make_tiny_checkpoint
from fimble_testing.foreign_checkpoints import write_foreign_checkpoint
from fimble_testing.peak_bytes import measure_peak_bytes
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint

FLOAT32 = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
INT8 = Placement(device="cpu", dtype=Dtype.INT8, n_threads=1)
BY_FBGEMM = Placement(device="cpu", dtype=Dtype.INT8, n_threads=1, kernels=Kernels.TORCH)
MIB = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 MiB of float32 in three shards and four layers: much more than one tensor of it."""
    folder = tmp_path_factory.mktemp("large")
    make_tiny_checkpoint(
        folder,
        family="llama",
        tokenizer=False,
        shard_size="20MB",
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
    )
    return folder


@pytest.mark.parametrize("placement", [INT8, BY_FBGEMM, FLOAT32], ids=["int8", "fbgemm", "float32"])
def test_loading_holds_one_tensor_besides_what_serves(large: Path, placement: Placement) -> None:
    """In int8 the float model, four times as large, never stands in memory."""
    held_bytes = held_weight_bytes(load_network(large, placement))
    peak_bytes = measure_peak_bytes(
        lambda: load_network(large, placement), [*large.glob("*.safetensors")]
    )
    float_bytes = 4 * load_config(large).n_parameters
    if placement.dtype is Dtype.INT8:
        assert held_bytes + 22 * MIB < float_bytes
    # The largest tensors have 1,408 rows of 512 or as many columns, two of them side by side.
    assert peak_bytes < held_bytes + 16 * MIB


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt_bigcode", "falcon", "qwen3_moe"])
@pytest.mark.parametrize("placement", [INT8, FLOAT32], ids=["int8", "float32"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "free"])
def test_weights_are_reckoned_before_they_are_loaded(
    family: str, placement: Placement, tied: bool, tmp_path: Path
) -> None:
    make_tiny_checkpoint(tmp_path, family=family, tokenizer=False, tie_word_embeddings=tied)
    config = load_config(tmp_path)
    reckoned = reckon_weight_bytes(config, placement, stored_bytes_per_number=4)
    held = held_weight_bytes(load_network(tmp_path, placement))
    # At 48 numbers a row the scales, 4 bytes each, are a twelfth; in real models they vanish.
    assert reckoned == pytest.approx(held, rel=0.001 if placement is FLOAT32 else 0.12)


def test_a_model_larger_than_memory_is_refused_with_figures_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    # Damaged weights would be told first, were they looked at first.
    (folder / "model.safetensors").write_bytes(b"none")
    monkeypatch.setattr("fimble_model.assembly.find_free_bytes", lambda: 100 * MIB)
    with pytest.raises(DeviceError, match=r"found 100 MiB\.") as caught:
        fimble_model.load(folder, device="cpu", n_threads=1)
    assert "1 for this model's weights, 32 for texts" in str(caught.value)
    assert "model.memory_mib" in caught.value.to_do
    assert "fimble models" in caught.value.to_do
    # A cap makes room: texts and index take what it leaves them.
    with pytest.raises(CheckpointError, match="whole safetensors data"):
        fimble_model.load(folder, device="cpu", n_threads=1, cap_bytes=50 * MIB)


def test_a_model_above_the_cap_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"none")
    with pytest.raises(DeviceError, match=r"model\.memory_mib"):
        fimble_model.load(folder, device="cpu", n_threads=1, cap_bytes=1000)


def test_a_network_of_transformers_is_reckoned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_foreign_checkpoint(tmp_path / "neox")
    monkeypatch.setattr("fimble_model.assembly.find_free_bytes", lambda: 100 * MIB)
    with pytest.raises(DeviceError, match="256 for texts that were read"):
        fimble_model.load(tmp_path / "neox", device="cpu", n_threads=1)


def test_nothing_is_refused_where_nobody_knows_what_is_free() -> None:
    need = MemoryNeed(weight_bytes=2**50, cache_bytes=1)
    refuse_too_large(need, None, "this machine")
    refuse_too_large(need, need.n_bytes, "this machine")
    with pytest.raises(DeviceError):
        refuse_too_large(need, need.n_bytes - 1, "this machine")


def test_free_memory_is_what_the_system_calls_available(tmp_path: Path) -> None:
    meminfo, group = tmp_path / "meminfo", tmp_path / "cgroup"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")
    group.write_text("0::/none/such\n")
    assert find_free_bytes(meminfo, group) == 1234 * 1024
    assert find_free_bytes(tmp_path / "none", group) is None


def test_a_containers_limit_counts_where_it_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fimble_model.memory_need._GROUPS", tmp_path)
    meminfo, own_group, folder = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "box"
    folder.mkdir()
    meminfo.write_text("MemAvailable: 1000000 kB\n")
    own_group.write_text("0::/box\n")
    (folder / "memory.max").write_text(f"{500 * MIB}\n")
    (folder / "memory.current").write_text(f"{400 * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {50 * MIB}\n")
    assert find_free_bytes(meminfo, own_group) == 150 * MIB
    (folder / "memory.max").write_text("max\n")
    assert find_free_bytes(meminfo, own_group) == 1_000_000 * 1024
