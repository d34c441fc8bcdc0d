"""A bad checkpoint is refused with what was expected, what was found and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fimble_model.errors import CheckpointError
from fimble_model.network.checkpoint import Checkpoint
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.weights import load_network
from fimble_testing.checkpoints import make_tiny_checkpoint

FLOAT32 = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound checkpoint in one file."""
    make_tiny_checkpoint(tmp_path, tokenizer=False, num_hidden_layers=1)
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A sound checkpoint in several shards."""
    make_tiny_checkpoint(tmp_path, tokenizer=False, num_hidden_layers=1, shard_size="20KB")
    return tmp_path


def _refused(folder: Path, *words: str) -> None:
    """Before a weight is read: files' headers tell all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "read", _never)
        patch.setattr(Checkpoint, "read_levels", _never)
        with pytest.raises(CheckpointError) as caught:
            load_network(folder, FLOAT32)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert message.startswith("Expected ")
    assert caught.value.to_do.endswith(".")


def _never(*_: object) -> None:
    raise AssertionError("a weight was read")


def _edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values |= changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value != "drop"}))


def _edit_tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    (folder / WEIGHTS).unlink()
    save_file(tensors, folder / WEIGHTS)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    _refused(tmp_path / "missing", "a model folder", "nothing")


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _refused(tmp_path / "file", "a model folder", "a file")


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    _refused(folder, "config.json", "no such file")


@pytest.mark.parametrize("text", ["", "{", "\x00", "[1]", '"text"'])
def test_a_config_that_is_no_json_object(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    _refused(folder, "config.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, ("llama, mistral, qwen2, qwen3", "'mamba'")),
        ({"model_type": "drop"}, ("llama, mistral, qwen2, qwen3", "no model_type")),
        ({"model_type": ["qwen3"]}, ("llama, mistral, qwen2, qwen3",)),
        ({"hidden_size": "drop"}, ("hidden_size", "nothing")),
        ({"hidden_size": "48"}, ("hidden_size", "'48'")),
        ({"hidden_size": True}, ("hidden_size", "True")),
        ({"num_hidden_layers": 0}, ("n_layers", "0")),
        ({"num_attention_heads": 5}, ("divide evenly", "5 query heads")),
        ({"head_dim": "drop", "num_attention_heads": 5}, ("head_dim", "no head_dim")),
        ({"head_dim": 15}, ("even head size", "15")),
        ({"num_attention_heads": 0}, ("n_query_heads", "0")),
        ({"hidden_act": "gelu_10"}, ("silu", "gelu_10")),
        ({"hidden_act": 1}, ("hidden_act", "a string")),
        ({"use_sliding_window": True, "sliding_window": "all"}, ("sliding_window", "'all'")),
        (
            {"use_sliding_window": True, "sliding_window": 8, "layer_types": ["x", "y"]},
            ("layer_types", "a list of 1 kinds"),
        ),
        ({"quantization_config": {"bits": 4}}, ("float weights", "quantization_config")),
        ({"partial_rotary_factor": 0.5}, ("rotary", "partial_rotary_factor")),
        ({"rms_norm_eps": "tiny"}, ("rms_norm_eps", "'tiny'")),
        ({"tie_word_embeddings": "yes"}, ("tie_word_embeddings", "'yes'")),
        ({"rope_parameters": {"rope_type": "longrope"}}, ("scaling", "'longrope'")),
        ({"rope_scaling": {"type": "linear"}}, ("factor", "a number")),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, ("factor", "above 0")),
        (
            {"rope_scaling": {"type": "llama3", "low_freq_factor": 4, "high_freq_factor": 1}},
            ("high_freq_factor", "above low_freq_factor"),
        ),
        ({"rope_parameters": "default"}, ("rope_parameters", "an object")),
        ({"rope_parameters": None, "rope_theta": 0}, ("rope_theta", "0")),
        ({"vocab_size": 600}, ("model.embed_tokens.weight", "[600, 48]", "[512, 48]")),
        ({"intermediate_size": 96}, ("mlp.gate_proj.weight", "[96, 48]", "[80, 48]")),
        ({"num_hidden_layers": 2}, ("missing", "model.layers.1.")),
        ({"tie_word_embeddings": False}, ("missing", "lm_head.weight")),
        ({"model_type": "llama"}, ("unknown", "self_attn.k_norm.weight")),
        ({"attention_bias": True}, ("missing", "bias")),
    ],
    ids=str,
)
def test_a_config_that_cannot_be(
    folder: Path, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    _edit_config(folder, **changes)
    _refused(folder, *words)


def test_older_configs_hold_theta_at_the_top(folder: Path) -> None:
    _edit_config(folder, rope_parameters="drop", rope_theta=1234.0, rope_scaling=None)
    assert load_network(folder, FLOAT32).config.rope_theta == 1234.0


def test_newer_configs_hold_theta_inside(folder: Path) -> None:
    _edit_config(folder, rope_parameters={"rope_type": "default", "rope_theta": 99.0})
    assert load_network(folder, FLOAT32).config.rope_theta == 99.0


def test_no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    _refused(folder, WEIGHTS, "neither")


def test_a_pickle_is_named_and_never_opened(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    _refused(folder, "pytorch_model.bin", "pickle", "safetensors")


@pytest.mark.parametrize("n_bytes", [0, 4, 100, 5000])
def test_a_truncated_file(folder: Path, n_bytes: int) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(whole[:n_bytes])
    _refused(folder, WEIGHTS, "truncated")


def test_a_missing_key(folder: Path) -> None:
    _edit_tensors(folder, lambda tensors: tensors.pop("model.norm.weight"))
    _refused(folder, "model.norm.weight", "missing")


def test_an_unused_key(folder: Path) -> None:
    _edit_tensors(folder, lambda tensors: tensors.update({"model.extra": torch.ones(1)}))
    _refused(folder, "model.extra", "unknown")


def test_a_wrong_shape(folder: Path) -> None:
    _edit_tensors(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(47)}))
    _refused(folder, "model.norm.weight", "[48]", "[47]")


def test_a_type_that_is_no_float(folder: Path) -> None:
    levels = torch.ones(48, dtype=torch.int8)
    _edit_tensors(folder, lambda tensors: tensors.update({"model.norm.weight": levels}))
    _refused(folder, "model.norm.weight", "int8")


@pytest.mark.parametrize(
    ("dtype", "word"), [(torch.float64, "float64"), (torch.int32, "int32"), (torch.bool, "BOOL")]
)
def test_a_matrix_in_numbers_that_are_not_ours(folder: Path, dtype: torch.dtype, word: str) -> None:
    key = "model.layers.0.mlp.up_proj.weight"
    _edit_tensors(folder, lambda tensors: tensors.update({key: tensors[key].to(dtype)}))
    _refused(folder, key, "float16, bfloat16 or float32", word, "not quantised")


@pytest.mark.parametrize(
    ("levels", "scales", "word"),
    [
        (torch.int8, torch.float64, "float64"),
        (torch.float32, torch.float32, "float32"),
        (torch.int8, None, "int8"),
    ],
)
def test_a_matrix_in_int8_without_the_scales_it_needs(
    folder: Path, levels: torch.dtype, scales: torch.dtype | None, word: str
) -> None:
    key = "model.layers.0.mlp.up_proj.weight"

    def quantise(tensors: dict[str, torch.Tensor]) -> None:
        tensors[key] = tensors[key].to(levels)
        if scales is not None:
            tensors[f"{key}_scale"] = torch.ones(80, 1, dtype=scales)

    _edit_tensors(folder, quantise)
    _refused(folder, key, word)


def test_scales_of_another_number_of_channels(folder: Path) -> None:
    key = "model.layers.0.mlp.up_proj.weight"

    def quantise(tensors: dict[str, torch.Tensor]) -> None:
        tensors[key] = tensors[key].to(torch.int8)
        tensors[f"{key}_scale"] = torch.ones(79, 1)

    _edit_tensors(folder, quantise)
    _refused(folder, f"{key}_scale", "[80, 1]", "[79, 1]")


def test_a_free_head_that_the_config_calls_tied(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path, tokenizer=False, num_hidden_layers=1, tie_word_embeddings=False)
    _edit_config(tmp_path, tie_word_embeddings=True)
    _refused(tmp_path, "lm_head.weight", "ties them", "tie_word_embeddings")


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("llama", {"num_attention_heads": 4}, ("q_proj.weight", "[32, 48]", "[48, 48]")),
        ("llama", {"num_key_value_heads": 1}, ("k_proj.weight", "[8, 48]", "[16, 48]")),
        ("llama", {"head_dim": 16}, ("q_proj.weight", "[96, 48]", "[48, 48]")),
        ("gpt_bigcode", {"n_head": 4}, ("attn.c_attn.weight", "[72, 48]", "[64, 48]")),
        ("falcon", {"num_attention_heads": 4}, ("query_key_value", "[72, 48]", "[64, 48]")),
        ("starcoder2", {"num_key_value_heads": 3}, ("k_proj.weight", "[24, 48]", "[16, 48]")),
        ("qwen3_moe", {"moe_intermediate_size": 64}, ("experts.0", "[64, 48]", "[32, 48]")),
    ],
    ids=str,
)
def test_a_config_that_lies_about_heads(
    family: str, changes: dict[str, object], words: tuple[str, ...], tmp_path: Path
) -> None:
    make_tiny_checkpoint(tmp_path, family=family, tokenizer=False)
    _edit_config(tmp_path, **changes)
    _refused(tmp_path, *words, "do not belong together")


def test_derived_tensors_of_old_exports_are_let_be(folder: Path) -> None:
    key = "model.layers.0.self_attn.rotary_emb.inv_freq"
    _edit_tensors(folder, lambda tensors: tensors.update({key: torch.ones(8)}))
    load_network(folder, FLOAT32)


def test_a_tied_head_may_be_written_out_if_it_is_the_same(folder: Path) -> None:
    def add_head(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    _edit_tensors(folder, add_head)
    load_network(folder, FLOAT32)


def test_a_tied_head_that_differs(folder: Path) -> None:
    def add_head(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1

    _edit_tensors(folder, add_head)
    _refused(folder, "lm_head.weight", "tie_word_embeddings")


def test_a_missing_shard(sharded: Path) -> None:
    shard = min(sharded.glob("model-*.safetensors"))
    shard.unlink()
    _refused(sharded, shard.name, "no such file")


def test_shards_that_were_swapped(sharded: Path) -> None:
    first, second, *_ = sorted(sharded.glob("model-*.safetensors"))
    second.write_bytes(first.read_bytes())
    _refused(sharded, second.name, "missing")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"weight_map": []},
        {"weight_map": {"model.norm.weight": 1}},
        {"weight_map": {"model.norm.weight": "../model.safetensors"}},
    ],
    ids=str,
)
def test_an_index_that_maps_nothing_or_elsewhere(sharded: Path, values: object) -> None:
    (sharded / INDEX).write_text(json.dumps(values))
    _refused(sharded, "weight_map")


def test_an_index_that_lists_too_little(sharded: Path) -> None:
    values = json.loads((sharded / INDEX).read_text())
    values["weight_map"].pop("model.norm.weight")
    (sharded / INDEX).write_text(json.dumps(values))
    _refused(sharded, "model.norm.weight", "not listed")
