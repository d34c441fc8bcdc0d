"""Laws of the other forms of a model: int8 stored is int8 rounded at load, and errors are plain."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from typer.testing import CliRunner

from fimble_model.engine.protocol import Engine, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import CheckpointError
from fimble_model.loading import load
from fimble_model.network.checkpoint import load_config, open_checkpoint
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Kernels, Placement
from fimble_model.network.levels import round_to_levels
from fimble_model.network.native.library import kernels_name
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import load_network
from fimble_model.training.cli import app
from fimble_model.training.export import export_model
from fimble_model.training.export_int8 import export_int8
from fimble_model.training.faults import TrainingError
from fimble_model.training.forms import FORMS, path_beside, write_form
from fimble_model.training.warm_start import load_float_network
from fimble_testing.checkpoints import make_tiny_checkpoint

PREFIX = "def count_total(total, path=3):\n    if total > "


@pytest.fixture(scope="module")
def folder(
    tiny_config: NetworkConfig, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    network = Transformer(tiny_config)
    network.initialise(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 if parameter.dim() == 1 else 8)
    folder = tmp_path_factory.mktemp("models") / "float"
    weights = {name: p.detach() for name, p in network.named_parameters()}
    export_model(weights, tiny_config, tokenizer, folder, repository_context=True)
    (folder / "MODEL_CARD.md").write_text("a card")
    _state_untrained(folder)
    return folder


@pytest.fixture(scope="module")
def int8_folder(folder: Path) -> Path:
    out = path_beside(folder, "int8")
    export_int8(folder, out)
    return out


def _greedy(engine: Engine) -> str:
    request = Request(
        request_id=RequestId("one"),
        prompt=engine.codec.encode_fim(prefix=PREFIX, suffix="\n    return total\n"),
        max_new_tokens=40,
        stop=NeverStop(),
    )
    engine.add(request)
    text = ""
    while engine.has_work:
        for delta in engine.step():
            text += delta.text
    return text


def test_stored_int8_writes_the_same_tokens_as_int8_rounded_at_load(
    folder: Path, int8_folder: Path
) -> None:
    written = _greedy(load(folder, dtype="int8", n_threads=1))
    assert len(written) > 20
    assert _greedy(load(int8_folder, dtype="int8", n_threads=1)) == written


@pytest.mark.skipif(kernels_name() is None, reason="the native library is not built")
def test_the_native_network_of_both_gives_the_same_bits(folder: Path, int8_folder: Path) -> None:
    placement = Placement(device="cpu", dtype=Dtype.INT8, n_threads=1, kernels=Kernels.NATIVE)
    hidden_NE = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    one, other = (load_network(each, placement) for each in (folder, int8_folder))
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        for name in ("qkv", "gate_up"):
            assert torch.equal(getattr(ours, name)(hidden_NE), getattr(theirs, name)(hidden_NE))
    assert torch.equal(one.head(hidden_NE), other.head(hidden_NE))


def test_the_int8_folder_takes_fewer_bytes_and_keeps_everything_else(
    folder: Path, int8_folder: Path
) -> None:
    before = load_file(folder / "model.safetensors")
    after = load_file(int8_folder / "model.safetensors")
    key = "model.layers.1.mlp.down_proj.weight"
    assert after[key].dtype == torch.int8
    assert torch.equal(after[key], round_to_levels(before[key].float()).levels_VE)
    assert after["model.embed_tokens.weight"].dtype == torch.float16
    assert (int8_folder / "MODEL_CARD.md").read_text() == "a card"
    config = json.loads((int8_folder / "config.json").read_text())
    stated = config.pop("quantization_config")
    assert stated["quant_method"] == "compressed-tensors"
    assert config == json.loads((folder / "config.json").read_text())


def test_every_form_has_a_place_of_its_own() -> None:
    assert len({path_beside(Path("out/model"), form) for form in FORMS}) == len(FORMS)


def test_with_the_embedding_rounded_too_the_head_is_the_same_and_bytes_are_fewer(
    folder: Path, int8_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    write_form(folder, "int8-whole", out)
    before, after = (
        load_file(int8_folder / "model.safetensors"),
        load_file(out / "model.safetensors"),
    )
    key = "model.embed_tokens.weight"
    assert (before[key].dtype, after[key].dtype) == (torch.float16, torch.int8)
    levels = round_to_levels(before[key].float())
    assert torch.equal(after[key], levels.levels_VE)
    for name in before.keys() - {key}:
        assert torch.equal(after[name], before[name]), name
    # What the head is served as does not change: it was rounded at load by the same rule.
    with open_checkpoint(out) as checkpoint:
        assert checkpoint.has_levels("embedding.weight")
        stored = checkpoint.read_levels("embedding.weight")
    assert torch.equal(stored.scale_V, levels.scale_V)
    assert _greedy(load(out, dtype="int8", n_threads=1))


def test_every_other_part_reads_an_int8_folder_too(folder: Path, int8_folder: Path) -> None:
    """Widened, a matrix is off by at most half a level."""
    exact = dict(load_float_network(folder).named_parameters())
    for name, parameter in load_float_network(int8_folder).named_parameters():
        step = exact[name].abs().max() / 127 if parameter.dim() == 2 else 0.0
        assert float((parameter - exact[name]).abs().max()) <= float(step) * 0.501, name


@pytest.mark.parametrize(
    ("key", "tensor", "complaint"),
    [
        ("model.layers.0.mlp.up_proj.weight_scale", torch.ones(48), "shape"),
        ("model.layers.0.mlp.up_proj.weight_scale", torch.ones(48, 1).half(), "scales in float32"),
        ("model.layers.0.mlp.up_proj.weight", torch.ones(48, 32), "in int8"),
    ],
)
def test_a_damaged_int8_folder_is_refused(
    int8_folder: Path, tmp_path: Path, key: str, tensor: torch.Tensor, complaint: str
) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((int8_folder / name).read_bytes())
    tensors = load_file(int8_folder / "model.safetensors") | {key: tensor}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=complaint):
        load(tmp_path, dtype="int8", n_threads=1)


def test_int8_weights_of_another_making_are_not_taken_for_ours(
    int8_folder: Path, tmp_path: Path
) -> None:
    for path in int8_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"]["format"] = "pack-quantized"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="quantization_config"):
        load_config(tmp_path)


def test_a_model_is_not_written_onto_itself(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="another folder"):
        export_int8(folder, folder)


@pytest.mark.parametrize("family", ["stablelm", "starcoder2", "gpt_bigcode", "falcon", "qwen3_moe"])
def test_a_family_whose_tensors_are_not_written_is_refused_by_its_name(
    family: str, tmp_path: Path
) -> None:
    make_tiny_checkpoint(tmp_path / "float", family=family)
    with pytest.raises(CheckpointError, match=f"the family {family}, which has"):
        export_int8(tmp_path / "float", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("family", ["llama", "mistral", "granite", "gemma"])
def test_a_family_with_llamas_tensors_is_stored_as_it_is_rounded_at_load(
    family: str, tmp_path: Path
) -> None:
    make_tiny_checkpoint(tmp_path / "float", family=family)
    export_int8(tmp_path / "float", tmp_path / "out")
    with open_checkpoint(tmp_path / "float") as floats, open_checkpoint(tmp_path / "out") as stored:
        names = [name for name in stored.parameter_names if stored.has_levels(name)]
        assert len(names) == 4 * floats.config.n_layers
        for name in names:
            for ours, theirs in zip(
                stored.read_levels(name), floats.read_levels(name), strict=True
            ):
                assert torch.equal(ours, theirs), name


def test_the_command_writes_each_form_and_names_the_forms_there_are(
    folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "tiny.gguf"
    run = CliRunner().invoke(
        app, ["convert", str(folder), "gguf-f16", "--out", str(target)], catch_exceptions=False
    )
    assert run.exit_code == 0
    found = {each.name: each.data for each in gguf.GGUFReader(target).tensors}
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        expected = tensors.get_tensor("model.layers.0.self_attn.o_proj.weight").numpy()
    assert (found["blk.0.attn_output.weight"] == expected).all()
    with pytest.raises(TrainingError, match="gguf-q8_0"):
        write_form(folder, "int4", tmp_path / "no")


def test_a_full_disk_leaves_no_half_of_a_gguf_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", no_room)
    with pytest.raises(TrainingError, match="No space left"):
        write_form(folder, "gguf-f16", tmp_path / "tiny.gguf")
    assert list(tmp_path.iterdir()) == []


def _state_untrained(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["fimble"]["untrained"] = True
    (folder / "config.json").write_text(json.dumps(config))


def test_what_a_model_says_of_other_files_is_what_serving_does(
    folder: Path, tiny_config: NetworkConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    statement = json.loads((folder / "config.json").read_text())["fimble"]
    assert statement["repository_context"] is True
    assert load(folder, dtype="float32", n_threads=1).codec.shows_files
    network = load_float_network(folder)
    export_model(dict(network.named_parameters()), tiny_config, tokenizer, tmp_path)
    assert "repository_context" not in json.loads((tmp_path / "config.json").read_text())["fimble"]
    _state_untrained(tmp_path)
    assert not load(tmp_path, dtype="float32", n_threads=1).codec.shows_files
