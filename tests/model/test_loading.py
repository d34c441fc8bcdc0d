"""Laws of loading: a sound folder answers, a broken one is refused in plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

import fimble_model
from fimble_model import assembly
from fimble_model.engine.protocol import Engine
from fimble_model.errors import CheckpointError, DeviceError
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.families import build_config_values
from fimble_model.network.weights import random_network, to_checkpoint_tensors
from fimble_model.shipped import default_model_name, find_model_folder, shipped_models
from fimble_testing.tiny_engines import TINY_CONFIG, build_request, run_alone
from fimble_testing.tiny_tokenizers import build_tokenizer_json

STATEMENT = {"fimble": {"fim_family": "fimble", "fim_orders": ["spm", "psm"], "untrained": True}}


def _write_config(folder: Path, changes: dict[str, object]) -> None:
    values = build_config_values(TINY_CONFIG) | STATEMENT | changes
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound checkpoint of a tiny random network."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    placement = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
    tensors = to_checkpoint_tensors(random_network(TINY_CONFIG, placement))
    save_file({key: t.contiguous() for key, t in tensors.items()}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text(build_tokenizer_json("fimble"), encoding="utf-8")
    _write_config(folder, {})
    return folder


def _load(folder: Path | str) -> Engine:
    return fimble_model.load(folder, device="cpu", dtype="float32", n_threads=1)


def test_a_loaded_model_answers_and_says_what_it_is(folder: Path) -> None:
    steps: list[fimble_model.LoadProgress] = []
    engine = fimble_model.load(folder, device="cpu", dtype="float32", on_progress=steps.append)
    assert engine.model.name == "tiny"
    assert engine.model.dtype == "float32"
    assert engine.model.fim_orders == ("spm", "psm")
    assert engine.model.context_tokens == TINY_CONFIG.max_positions
    assert not engine.has_work
    finish = run_alone(
        engine, build_request("a", engine.codec.encode_fim(prefix="def f(", suffix=""))
    )
    assert finish.tokens
    shares = [step.done for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def _drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _garble(name: str) -> Callable[[Path], None]:
    def garble(folder: Path) -> None:
        (folder / name).write_bytes(b"\xff{]")

    return garble


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: _write_config(folder, changes)


@pytest.mark.parametrize(
    "break_it",
    [
        _drop("config.json"),
        _drop("tokenizer.json"),
        _drop("model.safetensors"),
        _garble("config.json"),
        _garble("tokenizer.json"),
        _garble("model.safetensors"),
        lambda folder: (folder / "config.json").write_text("[]"),
        _config(model_type="t5"),
        _config(model_type="qwen3", fimble=None),
        _config(fimble="spm"),
        _config(fimble={"fim_family": "fimble", "fim_orders": "spm"}),
        _config(fimble={"fim_family": "starcoder"}),
        _config(fimble={}),
        _config(vocab_size=300),
        _config(hidden_size=48),
    ],
)
def test_a_broken_folder_is_refused(folder: Path, break_it: Callable[[Path], object]) -> None:
    break_it(folder)
    with pytest.raises(CheckpointError):
        _load(folder)


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(DeviceError):
        fimble_model.load(folder, device="cuda:99")


def test_the_cache_keeps_within_the_bytes_it_was_given(folder: Path) -> None:
    budget_bytes = 2**20
    engine = fimble_model.load(folder, device="cpu", n_threads=1, cache_bytes=budget_bytes)
    assert engine.holdings.cache_limit_bytes <= budget_bytes
    assert engine.holdings.cache_bytes <= engine.holdings.cache_limit_bytes


def test_the_wishes_for_a_gpu_reach_the_engines_assembly(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as a card: a CPU's engine has no use for them."""
    reached: list[GpuWishes] = []
    assemble = assembly.assemble_engine

    def spy(*, gpu_wishes: GpuWishes, **parts: Any) -> Engine:
        reached.append(gpu_wishes)
        return assemble(gpu_wishes=gpu_wishes, **parts)

    monkeypatch.setattr(assembly, "assemble_engine", spy)
    wishes = GpuWishes(cache_share=0.3, has_graphs=False)
    fimble_model.load(folder, device="cpu", n_threads=1, gpu_wishes=wishes)
    assert [each[:2] for each in reached] == [wishes[:2]]


def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    for name in ("fimble-nano", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="fimble-nano, other"):
        find_model_folder("no-such-model", tmp_path)
    assert find_model_folder("other", tmp_path) == tmp_path / "other"


def test_the_larger_shipped_model_is_the_default(tmp_path: Path) -> None:
    assert default_model_name(tmp_path) == "fimble-nano"
    for name in ("fimble-nano", "fimble-base"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    assert default_model_name(tmp_path) == "fimble-base"
    assert [(model.name, model.n_bytes) for model in shipped_models(tmp_path)] == [
        ("fimble-base", 2),
        ("fimble-nano", 2),
    ]


def test_loading_wakes_neither_transformers_nor_the_compiler(folder: Path) -> None:
    """Either takes seconds that the first keystroke would wait for."""
    probe = (
        "import sys, fimble_model; assert 'torch' not in sys.modules;"
        f"fimble_model.load({str(folder)!r}, device='cpu', n_threads=1);"
        "sys.exit(bool({'transformers', 'torch._dynamo'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", probe], check=False, timeout=60)
    assert finished.returncode == 0
