"""The verbs from end to end on the model that ships, and what they say to a mistaken user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fimble_eval.cli import app
from fimble_eval.rivals.choosing import choose_rival
from fimble_eval.sandbox.sandbox import why_unavailable
from fimble_model.errors import FimbleError

_LACK = why_unavailable()
needs_sandbox = pytest.mark.skipif(_LACK is not None, reason=f"no sandbox here: {_LACK}")
_TASK = {
    "task_id": "HumanEval/0",
    "prompt": "def add(a, b):\n",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}


def _run(*arguments: str) -> dict[str, object]:
    outcome = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert outcome.exit_code == 0
    summary = json.loads(outcome.stdout.strip().splitlines()[-1])
    assert isinstance(summary, dict)
    return summary


def _write(path: Path, *tasks: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    return path


@needs_sandbox
def test_humaneval_counts_what_passes(tmp_path: Path) -> None:
    """Two samples of a right constant answer, and the result's three files."""
    data = _write(tmp_path / "tasks.jsonl", _TASK)
    out = tmp_path / "out"
    summary = _run(
        "humaneval", "--data", str(data), "--model", r"constant:    return a + b\n\ndef f():",
        "--samples", "2", "--temperature", "0.5", "--k", "1,2", "--out", str(out),
    )  # fmt: skip
    assert (summary["pass@1"], summary["pass@2"]) == ({"mean": 1.0, "low": 1.0, "high": 1.0},) * 2
    assert str(summary["model"]).startswith("constant 'return a + b")
    assert {path.suffix for path in out.iterdir()} == {".csv", ".json", ".png"}


@needs_sandbox
@pytest.mark.parametrize("model", ["fimble-nano", "ngram"])
def test_every_rival_runs_every_view(model: str, tmp_path: Path) -> None:
    task = _TASK | {
        "task_id": "SingleLineInfilling/HumanEval/0/L0",
        "suffix": "\nprint(add(1, 2))\n",
    }
    data = _write(tmp_path / "tasks.jsonl", task)
    for view in ("raw", "shown"):
        summary = _run("infilling", "--data", str(data), "--view", view, "--model", model)
        assert (summary["n_tasks"], summary["view"]) == (1, view)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    holes = _run("holes", str(tmp_path / "package"), "--cases", "1", "--model", model)
    assert holes["n_holes"] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("infilling", "--data", "{data}", "--view", "sideways"),
        ("humaneval", "--data", "{data}", "--k", "2"),
        ("humaneval", "--data", "{data}", "--k", "x"),
        ("humaneval", "--data", "{data}", "--model", "no-such-model"),
        ("humaneval", "--data", "{missing}"),
        ("holes", "{missing}"),
        ("holes", "{empty}"),
    ],
)
def test_a_mistake_is_told_before_anything_is_run(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    data = _write(tmp_path / "tasks.jsonl", _TASK | {"suffix": ""})
    (tmp_path / "empty").mkdir()
    places = {"data": data, "missing": tmp_path / "missing", "empty": tmp_path / "empty"}
    with pytest.raises(FimbleError):
        CliRunner().invoke(
            app, [argument.format_map(places) for argument in arguments], catch_exceptions=False
        )


def test_a_commit_that_ships_no_model_is_refused() -> None:
    with pytest.raises(FimbleError, match="git log"):
        choose_rival("git:no-such-commit")
