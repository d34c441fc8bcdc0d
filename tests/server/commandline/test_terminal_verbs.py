"""The terminal's verbs keep the promises of their names: keys, exit codes, plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fimble_server.cli import app
from fimble_server.errors import FimbleError

SOURCE = """\
def total(prices):
    result = 0
    for price in prices:
        result += price
    return result


name = "😀"; total(
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small file with an emoji left of a cursor."""
    path = tmp_path / "prices.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_complete_prints_the_promised_keys(source: Path) -> None:
    """`complete --json` has exactly the keys that its users parse."""
    finished = _run("complete", f"{source}:4:19", "--json")
    assert finished.exit_code == 0, finished.output
    answer = json.loads(finished.stdout)
    assert list(answer) == [
        "mode",
        "rule",
        "suggestions",
        "hidden",
        "tokens",
        "timing_ms",
        "model",
        "context",
        "steps",
    ]
    assert answer["mode"] == "acceleration"
    assert list(answer["tokens"]) == ["prompt", "reused", "generated"]
    assert list(answer["timing_ms"]) == ["load", "queue", "prefill", "decode", "total"]
    assert answer["model"]["name"] == "fimble-nano"
    assert answer["context"][0]["path"] == str(source)
    assert answer["suggestions"] or answer["hidden"]


def test_a_long_file_is_cut_and_said_to_be(tmp_path: Path) -> None:
    """What does not fit the model's context is left out, and every way to ask why says so."""
    path = tmp_path / "long.py"
    lines = [f"value_{index} = {index}" for index in range(900)]
    lines[449] = "total = "
    path.write_text("\n".join(lines), "utf-8")
    told = _run("complete", f"{path}:450:9", "--json")
    assert told.exit_code == 0, told.output
    left_out = json.loads(told.stdout)["context"][0]["left_out"]
    assert 0 < left_out["lines_before"] < 449
    assert 0 < left_out["lines_after"] < 450
    drawn = _run("complete", f"{path}:450:9", "--explain")
    assert f"left out    {left_out['lines_before']} lines before the cursor" in drawn.stdout


def test_ranges_count_in_utf16(source: Path, tmp_path: Path) -> None:
    """An emoji left of the cursor counts as two: the terminal's column 19 is LSP's 19, not 18."""
    eager = tmp_path / "eager.toml"
    eager.write_text("[completion]\neagerness = 1.0\n", encoding="utf-8")
    finished = _run("complete", f"{source}:8:19", "--json", "--config", str(eager))
    assert finished.exit_code == 0, finished.output
    answer = json.loads(finished.stdout)
    ranges = [each["range"] for each in answer["suggestions"]]
    assert ranges, answer["hidden"]
    for each in ranges:
        assert each["start"] == {"line": 7, "character": 19}
        assert each["end"]["line"] == 7


def test_two_targets_give_two_json_lines(source: Path) -> None:
    """Each target is answered in its turn, on a line of its own."""
    finished = _run("complete", f"{source}:4:19", f"{source}:2:14", "--json")
    assert finished.exit_code == 0
    assert [json.loads(line)["mode"] for line in finished.stdout.splitlines()] == [
        "acceleration",
        "acceleration",
    ]


def test_explain_says_mode_rule_and_tokens(source: Path) -> None:
    """`--explain` shows in words what `--json` has as keys."""
    finished = _run("complete", f"{source}:4:19", "--explain")
    assert finished.exit_code == 0
    for word in ("mode", "acceleration", "tokens", "prefill", "fimble-nano"):
        assert word in finished.stdout


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("prices.py", "FILE:LINE:COLUMN"),
        ("prices.py:0:1", "count from 1"),
        ("prices.py:99:1", "a line from 1 to 9"),
        ("prices.py:1:999", "a column from 1 to 19"),
        ("nowhere.py:1:1", "a readable source file"),
    ],
)
def test_a_wrong_target_is_refused_in_words(
    target: str, words: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with a target is said before any model is loaded."""
    monkeypatch.chdir(source.parent)
    finished = _run("complete", target)
    assert isinstance(finished.exception, FimbleError)
    assert words in str(finished.exception)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is named by its place."""
    path = tmp_path / "latin.py"
    path.write_bytes(b"x = '\xe9'\n")
    finished = _run("complete", f"{path}:1:1")
    assert isinstance(finished.exception, FimbleError)
    assert "UTF-8" in str(finished.exception)


def test_a_file_of_secrets_is_refused_unread(tmp_path: Path) -> None:
    """Its name is enough: no text of it reaches a prompt, nor its refusal."""
    path = tmp_path / ".env"
    path.write_text("TOKEN=hunter2\n", encoding="utf-8")
    finished = _run("complete", f"{path}:1:7")
    assert isinstance(finished.exception, FimbleError)
    assert "secrets" in str(finished.exception)
    assert "hunter2" not in str(finished.exception)


def test_check_passes_with_the_shipped_model() -> None:
    """Every finding is fine and the exit code says so."""
    finished = _run("check", "--json")
    report = json.loads(finished.stdout)
    assert finished.exit_code == 0, report
    assert report["ok"] is True
    names = [finding["name"] for finding in report["findings"]]
    assert names == [
        *("python", "torch", "tokenizers", "device", "privacy", "model"),
        *("special tokens", "typed strings", "prompt", "stop tokens", "known holes"),
        *("fill-in-the-middle", "completion"),
    ]
    assert all(finding["to_do"] for finding in report["findings"])


def test_check_names_a_device_that_is_not_there(tmp_path: Path) -> None:
    """What is wrong with the machine is not laid at the model's door."""
    config = tmp_path / "fimble.toml"
    config.write_text('[model]\ndevice = "cuda:99"\n', encoding="utf-8")
    finished = _run("check", "--json", "--config", str(config))
    bad = [each for each in json.loads(finished.stdout)["findings"] if not each["ok"]]
    assert finished.exit_code == 1
    assert [finding["name"] for finding in bad] == ["device"]
    assert bad[0]["to_do"]


def test_several_candidates_differ_and_are_the_same_each_time(source: Path) -> None:
    """Asked for several, `complete` shows several: one greedy, the others drawn by a seed."""
    answers = []
    for _ in range(2):
        finished = _run("complete", f"{source}:4:9", "--json", "--candidates", "4")
        assert finished.exit_code == 0, finished.output
        answers.append(json.loads(finished.stdout))
    texts = [each["text"] for each in answers[0]["suggestions"]]
    assert len(texts) > 1
    assert len(set(texts)) == len(texts)
    assert len(texts) + len(answers[0]["hidden"]) == 4
    assert texts == [each["text"] for each in answers[1]["suggestions"]]


@pytest.mark.parametrize("damage", ["missing folder", "empty folder", "cut weights"])
def test_check_says_what_to_do_about_a_broken_model(damage: str, tmp_path: Path) -> None:
    """A broken checkpoint is a finding with advice and exit code 1, not a traceback."""
    folder = tmp_path / "model"
    if damage != "missing folder":
        folder.mkdir()
    if damage == "cut weights":
        _copy_with_cut_weights(folder)
    finished = _run("check", "--json", "--model", str(folder))
    report = json.loads(finished.stdout)
    assert finished.exit_code == 1
    bad = [finding for finding in report["findings"] if not finding["ok"]]
    assert [finding["name"] for finding in bad] == ["model"]
    assert "expected" in bad[0]["found"]
    assert bad[0]["to_do"]


def _copy_with_cut_weights(folder: Path) -> None:
    import fimble_model

    shipped = next(each for each in fimble_model.shipped_models() if each.name == "fimble-nano")
    for path in shipped.folder.iterdir():
        content = path.read_bytes()
        is_weights = path.suffix == ".safetensors"
        (folder / path.name).write_bytes(content[: len(content) // 2] if is_weights else content)


def test_models_shows_the_whole_folder() -> None:
    """A folder is there to be copied, so a narrow terminal does not cut it short."""
    import fimble_model

    shown = "".join(line[-60:].strip() for line in _run("models").stdout.splitlines())
    assert "…" not in shown
    assert fimble_model.shipped_models()[0].folder.name in shown


def test_models_lists_what_ships_and_marks_the_default() -> None:
    """Exactly one shipped model is the default."""
    report = json.loads(_run("models", "--json").stdout)
    assert "fimble-nano" in [model["name"] for model in report["models"]]
    assert sum(model["default"] for model in report["models"]) == 1


def test_an_unknown_setting_is_refused_by_its_path(source: Path, tmp_path: Path) -> None:
    """A misspelt key in the settings file is named, with the file."""
    config = tmp_path / "fimble.toml"
    config.write_text("[completion]\neagernes = 1.0\n", encoding="utf-8")
    finished = _run("complete", f"{source}:1:1", "--config", str(config))
    assert isinstance(finished.exception, FimbleError)
    assert "completion.eagernes" in str(finished.exception)


def test_the_version_is_the_distribution_s() -> None:
    """`--version` prints one line."""
    finished = _run("--version")
    assert finished.exit_code == 0
    assert finished.stdout.startswith("fimble ")
