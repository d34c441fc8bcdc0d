"""A model that would write junk is refused with the reason, and one that is sound is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import fimble_model
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.engine import NativeEngine
from fimble_model.errors import CheckpointError
from fimble_model.self_test import LEAST_FILLED, TestedItem, refuse_junk, run_self_test
from fimble_model.shipped import find_model_folder
from fimble_model.text.fim_format import FimOrder
from fimble_model.text.tokenizer import Tokenizer
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint
from fimble_testing.tiny_engines import build_engine
from fimble_testing.tiny_tokenizers import STYLES

TEXT_ITEMS = ["special tokens", "typed strings", "prompt", "stop tokens"]


def _items(engine: NativeEngine) -> dict[str, TestedItem]:
    return {item.name: item for item in run_self_test(engine, is_untrained=True)}


@pytest.mark.parametrize("style", STYLES)
def test_a_sound_tokenizer_passes_every_item(style: str) -> None:
    items = _items(build_engine(style=style))
    assert [*items] == [*TEXT_ITEMS, "known holes"]
    assert all(item.ok for item in items.values())


def test_random_weights_fill_no_holes_and_are_refused() -> None:
    *_, holes = run_self_test(build_engine())
    assert not holes.ok
    with pytest.raises(CheckpointError, match=f"at least {LEAST_FILLED} of 8.*none filled"):
        refuse_junk(holes)


def _break_codec(engine: NativeEngine, how: str) -> None:
    codec = engine.codec
    assert isinstance(codec, FimCodec)
    tokenizer: Tokenizer = codec.tokenizer
    controls = dict(tokenizer.control_ids)
    first, second = codec.fim_format.layouts[FimOrder.SPM][:2]
    if how == "missing":
        del controls[str(first)]
    elif how == "shared":
        controls[str(first)] = controls[str(second)]
    elif how == "beyond":
        controls[str(first)] = type(controls[str(first)])(100_000)
    elif how == "text":
        # The end token's id spells something: it would be written, not end the middle.
        (name,) = codec.fim_format.end_tokens
        controls[name] = tokenizer.encode("x")[0]
    tokenizer.control_ids = controls


@pytest.mark.parametrize(
    ("how", "item", "found"),
    [
        ("missing", "special tokens", "no '<|fim_prefix|>'"),
        ("shared", "special tokens", "one id for two"),
        ("beyond", "special tokens", "id 100000 in a vocabulary of 520"),
        ("text", "stop tokens", "0 of 1"),
    ],
)
def test_a_control_token_that_is_none_is_found(how: str, item: str, found: str) -> None:
    engine = build_engine(codec_is_shared=False)
    _break_codec(engine, how)
    answer = next(each for each in run_self_test(engine, is_untrained=True) if each.name == item)
    assert not answer.ok
    assert found in answer.found


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    """A copy of the small model that ships, to be damaged."""
    folder = tmp_path / "nano"
    shutil.copytree(find_model_folder("fimble-nano"), folder)
    return folder


def test_a_real_model_with_its_layers_in_another_order_is_refused(nano: Path) -> None:
    """Shapes fit, every key is used: only what it writes tells."""
    tensors = load_file(nano / "model.safetensors")
    n_layers = json.loads((nano / "config.json").read_text())["num_hidden_layers"]

    def reversed_name(key: str) -> str:
        parts = key.split(".")
        if key.startswith("model.layers."):
            parts[2] = str(n_layers - 1 - int(parts[2]))
        return ".".join(parts)

    (nano / "model.safetensors").unlink()
    moved = {reversed_name(key): tensor for key, tensor in tensors.items()}
    save_file(moved, nano / "model.safetensors")
    seen: list[TestedItem] = []
    with pytest.raises(CheckpointError, match="known holes"):
        fimble_model.load(nano, device="cpu", n_threads=1, on_tested=seen.append)
    assert [item.name for item in seen if not item.ok] == ["known holes"]


def test_the_model_that_ships_passes() -> None:
    seen: list[TestedItem] = []
    fimble_model.load("fimble-nano", device="cpu", n_threads=1, on_tested=seen.append)
    assert [item.name for item in seen] == [*TEXT_ITEMS, "known holes"]
    assert all(item.ok for item in seen)


def test_a_network_that_says_it_is_untrained_is_not_asked(tmp_path: Path) -> None:
    seen: list[TestedItem] = []
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    fimble_model.load(folder, device="cpu", n_threads=1, on_tested=seen.append)
    assert "untrained" in seen[-1].found
    config = json.loads((folder / "config.json").read_text())
    del config["fimble"]["untrained"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="none filled"):
        fimble_model.load(folder, device="cpu", n_threads=1)
