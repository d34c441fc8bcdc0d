"""From a list of packages to a model folder, on wheels made here and without a network."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fimble_model.network.config import NetworkConfig
from fimble_model.training.cli import app
from fimble_model.training.corpus import load_fetch_report
from fimble_model.training.documents import load_documents
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.recipes import RECIPES, Recipe
from fimble_model.training.sources import Origin, load_sources
from fimble_model.training.wheels import read_wheel

SOURCES = """
[[source]]
name = "alpha"
version = "1.0"
licence = "MIT"

[[source]]
name = "beta"
licence = "BSD License"
held_out = true

[[source]]
name = "gamma"
licence = "MIT"
"""


def _build_wheel(folder: Path, name: str, licence: str, files: dict[str, str]) -> Path:
    info = f"{name}-1.0.dist-info"
    members = {f"{name}/{path}": text for path, text in files.items()}
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{licence}\n"
    members[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in members)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def index(texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index, with three packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    files = {f"module_{number}.py": text for number, text in enumerate(texts[:30])}
    vendored = {"_vendor/other.py": texts[39], "data.txt": "not Python"}
    _build_wheel(folder, "alpha", "License-Expression: MIT", files | vendored)
    held_out = {f"module_{number}.py": text for number, text in enumerate(texts[29:39])}
    bsd = "Classifier: License :: OSI Approved :: BSD License"
    _build_wheel(folder, "beta", bsd, held_out)
    _build_wheel(folder, "gamma", "License-Expression: GPL-3.0-only", files)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def recipe(tiny_config: NetworkConfig, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = Recipe(name="tiny", network=tiny_config, row_tokens=128, n_rows=2, time_s=1.5)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    return recipe


@pytest.mark.usefixtures("index", "recipe")
def test_one_command_goes_from_packages_to_a_model_folder(tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / "sources.toml").write_text(SOURCES)
    work, out = tmp_path / "work", tmp_path / "model"
    options = ["--work", str(work), "--model", "tiny", "--sources", str(tmp_path / "sources.toml")]
    command = ["all", *options, "--threads", "1", "--no-compile", "--out", str(out), "--cases", "5"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output

    fetched = {each.name: each for each in load_fetch_report(work / "corpus")}
    assert fetched["gamma"].refused is not None
    assert "GPL" in fetched["gamma"].refused
    assert not (work / "corpus" / "raw" / "gamma.jsonl").exists()
    assert fetched["alpha"].n_files == 30  # neither the vendored file nor the data

    trained = list(load_documents(work / "corpus" / "train.jsonl"))
    held_out = list(load_documents(work / "corpus" / "held-out.jsonl"))
    assert {each.package for each in trained} == {"alpha"}
    assert {each.package for each in held_out} == {"beta"}
    # The file that both packages have is only in what is trained on.
    assert texts[29] not in [each.text for each in held_out]

    assert sorted(path.name for path in out.iterdir()) == [
        "MODEL_CARD.md",
        "config.json",
        "generation_config.json",
        "loss.png",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    card = (out / "MODEL_CARD.md").read_text()
    for fact in ("| alpha | 1.0 | MIT |", "held out", "bits per character", "no benchmark files"):
        assert fact in card
    assert "gamma" not in card

    shown = CliRunner().invoke(app, ["samples", "--work", str(work), "--model", "tiny"])
    assert shown.output.count(" tokens ") == 5

    # Everything is done already: a second call only measures again.
    checkpoints = sorted((work / "tiny" / "checkpoints").iterdir())
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert sorted((work / "tiny" / "checkpoints").iterdir()) == checkpoints


def test_the_licence_is_judged_before_any_file_is_read(tmp_path: Path) -> None:
    wheel = _build_wheel(tmp_path, "gamma", "License: Proprietary", {"module.py": "x = 1\n"})
    data = bytearray(wheel.read_bytes())
    # Any reading of the module's bytes would now fail its checksum.
    at = data.index(b"x = 1\n")
    data[at : at + 1] = b"y"
    wheel.write_bytes(bytes(data))
    with pytest.raises(LicenceError, match="Proprietary"):
        read_wheel(wheel, "gamma")


def test_a_broken_wheel_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "broken.whl").write_bytes(b"PK nothing")
    with pytest.raises(TrainingError, match=r"a wheel in broken\.whl"):
        read_wheel(tmp_path / "broken.whl", "broken")


@pytest.mark.usefixtures("index")
def test_a_package_that_cannot_be_had_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text('[[source]]\nname = "delta"\nlicence = "MIT"\n')
    options = ["--work", str(tmp_path), "--sources", str(tmp_path / "sources.toml")]
    result = CliRunner().invoke(app, ["corpus", *options])
    assert isinstance(result.exception, TrainingError)
    assert "delta" in str(result.exception)


@pytest.mark.parametrize("verb", ["clean", "tokenizer", "samples", "train", "export"])
def test_a_stage_without_the_one_before_it_says_which_to_run(verb: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [verb, "--work", str(tmp_path)])
    assert isinstance(result.exception, TrainingError)
    assert "fimble-train" in str(result.exception)


def test_the_shipped_list_is_sound() -> None:
    sources = load_sources()
    held_out = Counter(source.language for source in sources if source.held_out)
    for language in ("python", "typescript", "javascript", "c", "cpp", "go", "rust", "java"):
        assert held_out[language] >= 1, language
    assert all(s.version for s in sources if s.origin is Origin.PACKAGE_INDEX)
    assert all(source.licence for source in sources)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[source]]\nname = 'a'\n", "licence"),
        ("[[source]]\nname = 'a'\nlicence = 'MIT'\nurl = 'x'\n", "url"),
        ("[[source]]\nname = 'a'\nlicence = 'MIT'\norigin = 'x'\n", "not a valid Origin"),
        (2 * "[[source]]\nname = 'a'\nlicence = 'MIT'\n", "more than once"),
        ("[source\n", "TOMLDecodeError"),
    ],
)
def test_a_bad_list_is_a_clear_error(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text(text)
    with pytest.raises(TrainingError, match=complaint):
        load_sources(tmp_path / "sources.toml")


def test_the_shipped_weights_say_what_they_are() -> None:
    folder = Path(__file__).parents[3] / "model" / "fimble_model" / "weights" / "fimble-nano"
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "qwen3"
    assert config["fimble"]["fim_orders"] == ["spm", "psm"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * 2**20
    card = (folder / "MODEL_CARD.md").read_text()
    for source in load_sources():
        if source.held_out:
            assert source.label in card
