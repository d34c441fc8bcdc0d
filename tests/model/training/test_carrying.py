"""Laws of carrying: pieces are small, join themselves, and nothing damaged or foreign is taken."""

import json
import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fimble_model.network.config import NetworkConfig
from fimble_model.training.carrying import carry_files, take_files
from fimble_model.training.cli import app
from fimble_model.training.documents import Document, pack_documents, write_documents
from fimble_model.training.faults import TrainingError
from fimble_model.training.recipes import RECIPES, Recipe
from fimble_model.training.reports import CleanReport, write_clean_report
from fimble_model.training.tokenizer import train_tokenizer


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """Files of a working folder: one of several pieces, one of one, one without a byte."""
    contents = {"tiny/large": random.Random(0).randbytes(5000), "tiny/small": b"x", "empty": b""}
    for inner, data in contents.items():
        path = tmp_path / "here" / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return contents


def _carry(folder: Path, files: dict[str, bytes]) -> Path:
    work, out = folder / "here", folder / "out"
    pieces = carry_files(work, [work / inner for inner in files], out, piece_bytes=2000)
    assert [piece.n_bytes for piece in pieces] == [2000, 2000, 1000, 1, 0]
    return out


def test_what_is_carried_arrives_as_it_was(tmp_path: Path, files: dict[str, bytes]) -> None:
    out, there = _carry(tmp_path, files), tmp_path / "there"
    taken = take_files(out, there)
    assert taken.missing == ()
    assert sorted(taken.paths) == sorted(files)
    assert {inner: (there / inner).read_bytes() for inner in files} == files
    assert not (there / "carried").exists()


def test_pieces_may_come_in_several_loads_and_in_any_order(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    out, there = _carry(tmp_path, files), tmp_path / "there"
    loads = []
    for names in (["piece-002", "piece-004"], ["piece-000", "piece-003"], ["piece-001"]):
        load = tmp_path / f"load-{names[0]}"
        load.mkdir()
        for name in ("manifest.json", *names):
            shutil.copyfile(out / name, load / name)
        loads.append(load)
    first = take_files(loads[0], there)
    assert first.missing == ("piece-000", "piece-001", "piece-003")
    assert first.paths == ("empty",)
    assert take_files(loads[1], there).missing == ("piece-001",)
    assert take_files(loads[2], there).missing == ()
    assert (there / "tiny/large").read_bytes() == files["tiny/large"]


def test_a_piece_that_was_damaged_on_the_way_is_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    out = _carry(tmp_path, files)
    (out / "piece-001").write_bytes(b"y" * 2000)
    with pytest.raises(TrainingError, match="piece-001"):
        take_files(out, tmp_path / "there")
    assert not (tmp_path / "there/tiny/large").exists()


def test_a_manifest_that_leads_outside_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    out = _carry(tmp_path, files)
    rows = json.loads((out / "manifest.json").read_text())
    rows[0]["path"] = "../elsewhere"
    (out / "manifest.json").write_text(json.dumps(rows))
    with pytest.raises(TrainingError, match="elsewhere"):
        take_files(out, tmp_path / "there")
    (out / "manifest.json").unlink()
    with pytest.raises(TrainingError, match="manifest"):
        take_files(out, tmp_path / "there")


def test_a_run_goes_on_on_another_machine_and_comes_back(
    tmp_path: Path, texts: list[str], tiny_config: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: data there, part of a run, the rescue back, the end of the run here."""
    recipe = Recipe(name="tiny", network=tiny_config, row_tokens=128, n_rows=1, time_s=1.0)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    # No package manager can be asked: what needs one would fail.
    monkeypatch.setenv("PATH", "")
    here, there = tmp_path / "here", tmp_path / "there"
    _make_work(here, texts)

    def run(*words: object) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def make(work: Path, *more: str) -> str:
        options = ["--model", "tiny", "--work", work, "--threads", 1, "--no-compile"]
        return run("all", *options, "--cases", 2, *more)

    run("carry", tmp_path / "out", "--work", here, "--model", "tiny")
    run("take", tmp_path / "out", "--work", there)
    assert "run the same command again" in make(there, "--minutes", "99", "--stop-after", "0.01")
    assert not (there / "tiny" / "export").exists()
    run("carry", tmp_path / "back", "--work", there, "--model", "tiny", "--run")
    run("take", tmp_path / "back", "--work", here)
    make(here, "--minutes", "0.02", "--also", "int8")
    reports = (here / "tiny/progress.jsonl").read_text().splitlines()
    n_steps = [json.loads(line)["n_steps"] for line in reports]
    assert n_steps == sorted(n_steps)
    assert (here / "tiny/export/model.safetensors").is_file()
    assert (here / "tiny/export-int8/model.safetensors").is_file()


def _make_work(work: Path, texts: list[str]) -> None:
    documents = [
        Document(package="alpha" if index < 30 else "beta", path=f"m{index}.py", text=text)
        for index, text in enumerate(texts)
    ]
    corpus = work / "corpus"
    corpus.mkdir(parents=True)
    pack_documents(documents[:30], work / "tiny" / "data", part_bytes=5000)
    write_documents(documents[30:], corpus / "held-out.jsonl")
    train_tokenizer(texts, vocabulary_size=352).save(str(work / "tiny" / "tokenizer.json"))
    (corpus / "fetch.json").write_text("[]")
    report = CleanReport(
        n_train_files=30,
        n_train_chars=1,
        n_held_out_files=10,
        n_held_out_chars=1,
        n_benchmark_grams=0,
        removed={},
        changed={},
        package_chars={},
    )
    write_clean_report(report, corpus)
