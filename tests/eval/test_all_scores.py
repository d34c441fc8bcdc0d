"""All scores of a model: what is measured, what an old run leaves, and the page of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fimble_eval.all_scores import drop_stale, plan_jobs
from fimble_eval.benchmarks.humaneval_score import Tries, score_humaneval
from fimble_eval.results_index import build_index, write_index
from fimble_eval.rivals.choosing import Rival, choose_rival
from fimble_eval.sandbox.sandbox import why_unavailable
from fimble_model.errors import FimbleError
from fimble_testing.fake_engine import FakeEngine, Prompted

_FILES = (
    "HumanEval.jsonl.gz",
    "HumanEval-SingleLineInfilling.jsonl.gz",
    "HumanEval-MultiLineInfilling.jsonl.gz",
    "HumanEval-RandomSpanInfillingLight.jsonl.gz",
    *(f"humaneval_{language}.jsonl.gz" for language in ("cpp", "go", "java", "js", "rust")),
)
_SHARE = {"mean": 0.25, "low": 0.1, "high": 0.4}
_LACK = why_unavailable()


def _write(path: Path, **summary: object) -> None:
    path.write_text(json.dumps(summary))


def test_the_model_and_its_rivals_meet_on_the_same_tasks(tmp_path: Path) -> None:
    for name in _FILES:
        (tmp_path / name).touch()
    jobs = list(plan_jobs(tmp_path, tmp_path / "held", tmp_path, None, ["ngram", "constant:"]))
    assert [job.title for job in jobs if job.group == "lines"] == [
        "single line: None",
        "single line: ngram",
        "single line: constant:",
    ]
    # To write nothing fills no hole: no need to look.
    assert [job.title for job in jobs if job.group == "holes"] == ["holes: None", "holes: ngram"]


def test_a_benchmark_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FimbleError, match="SingleLine"):
        list(plan_jobs(tmp_path, tmp_path, tmp_path, None, []))


def test_old_scores_go_and_other_measurements_stay(tmp_path: Path) -> None:
    for name in ("holes-a@1.csv", "holes-a@2.csv", "holes-a@2.json", "latency-1.json"):
        (tmp_path / name).touch()
    drop_stale(tmp_path, {"holes-a@2"})
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["holes-a@2.csv", "holes-a@2.json", "latency-1.json"]


def test_the_page_tells_every_file_by_what_it_holds(tmp_path: Path) -> None:
    _write(
        tmp_path / "humaneval-go-x@1.json",
        **{"benchmark": "humaneval go", "n_tasks": 7, "model": "x@1", "pass@1": _SHARE},
    )
    _write(
        tmp_path / "compare-a-b.json",
        first="a", second="b", column="exact", n_tasks=9, first_mean=0.1, second_mean=0.2,
        difference=0.1, low=0.05, high=0.15, excludes_zero=True,
    )  # fmt: skip
    _write(tmp_path / "latency-1.json", commit="abc", date="2026-01-01")
    text = build_index(tmp_path)
    assert "| humaneval go | x@1 | 7 | pass@1 25.0% (10.0% to 40.0%) |" in text
    assert "| `a`, `b` | exact | 9 | 10.0%, 20.0% | +10.0% (+5.0% to +15.0%) | yes |" in text
    assert "| `latency-1` (json) | abc | 2026-01-01 |" in text
    assert write_index(tmp_path).read_text() == text == build_index(tmp_path)


def test_a_broken_file_of_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "holes-a.json").write_text("{")
    with pytest.raises(FimbleError, match=r"holes-a\.json"):
        build_index(tmp_path)


def test_a_model_that_ships_goes_by_the_commit_of_its_weights() -> None:
    label = choose_rival("fimble-nano").label
    assert label.startswith("fimble-nano")
    assert label == "fimble-nano" or label.startswith("fimble-nano@")


@pytest.mark.skipif(_LACK is not None, reason=f"no sandbox here: {_LACK}")
def test_any_back_end_behind_the_engine_protocol_is_scored() -> None:
    """A scripted engine without tokenizer or weights writes the body that the tests want."""

    def write(prompted: Prompted) -> str:
        assert prompted.prefix == "def add(a, b):\n"
        return "    return a + b\n\n\ndef more():"

    task = {
        "task_id": "HumanEval/0",
        "prompt": "def add(a, b):\n",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": "add",
    }
    result = score_humaneval(
        [task],
        Rival(engine=FakeEngine(write), label="scripted"),
        Tries(),
        has_memory=False,
        on_filled=lambda: None,
        on_judged=lambda: None,
    )
    assert result.rows[0]["n_passed"] == 1
    assert result.summary["model"] == "scripted"
