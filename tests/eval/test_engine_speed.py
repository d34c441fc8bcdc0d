"""Laws of the engine's measurement: no answer is lost unseen, no part spoils another, no gloss."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import pytest

from fimble_eval.engine_speed.contender import ContenderMissingError, find_llama_python
from fimble_eval.engine_speed.options import EngineOptions
from fimble_eval.engine_speed.report import summarise, write_report
from fimble_eval.engine_speed.rows import Row, beside
from fimble_eval.engine_speed.run import PartOutcome, run_parts
from fimble_eval.engine_speed.served import serve
from fimble_eval.engine_speed.typists import type_all
from fimble_eval.machine import describe_machine
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint


def _row(merit: float | None, target: float | None, *, is_ceiling: bool = False) -> Row:
    return Row(
        measure="a measure",
        unit="ms",
        ours=1.0,
        other=None,
        other_name="",
        merit=merit,
        merit_words="times",
        target=target,
        is_ceiling=is_ceiling,
    )


def test_a_target_is_met_from_its_own_side() -> None:
    assert _row(2.0, 1.5).is_met is True
    assert _row(1.4, 1.5).is_met is False
    assert _row(2.0, 1.5, is_ceiling=True).is_met is False
    assert _row(0.0, 0.0, is_ceiling=True).is_met is True
    assert _row(1.0, None).is_met is None
    assert beside("x", [2.0, 4.0, 3.0], [6.0, 90.0, 6.0], other_name="y", target=2).merit == 2.0


def test_the_report_says_what_was_missed_skipped_and_failed(tmp_path: Path) -> None:
    crowd = {"n_typists": 1, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "answers_per_s": 4.0}
    outcomes = [
        PartOutcome(
            name="typists",
            rows=(_row(1.0, 1.5), _row(2.0, 1.5)),
            details={"model": "m", "crowds": [crowd]},
        ),
        PartOutcome(name="keys", skipped="no llama.cpp here"),
        PartOutcome(name="memory", failed="its process ended with 9"),
    ]
    machine = describe_machine()
    path = write_report(tmp_path, outcomes, machine, n_threads=2)
    markdown = path.read_text(encoding="utf-8")
    assert "**no**" in markdown
    assert "no llama.cpp here" in markdown
    assert "ended with 9" in markdown
    assert path.with_suffix(".png").exists()
    with path.with_suffix(".csv").open(encoding="utf-8") as file:
        assert [row["is_met"] for row in csv.DictReader(file)] == ["False", "True"]
    summary = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert summary == json.loads(json.dumps(summarise(outcomes, machine, n_threads=2)))
    assert (summary["n_met"], summary["n_missed"]) == (1, 1)


def test_a_python_without_llama_cpp_is_told_how_to_get_it(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(ContenderMissingError, match=r"fimble\[compare\]"):
        find_llama_python(str(python))


def test_a_part_that_fails_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    options = EngineOptions(
        work=tmp_path,
        model=str(tmp_path / "missing"),
        large=tmp_path / "missing",
        n_threads=1,
        llama_python="/bin/false",
    )
    begun: list[str] = []
    first, second = run_parts(["typists-large", "memory"], options, on_part=begun.append)
    assert begun == ["typists-large", "memory"]
    for outcome in (first, second):
        assert outcome.failed
        assert "neither" in outcome.failed


async def test_each_request_of_a_crowd_is_answered_or_counted_as_lost(tmp_path: Path) -> None:
    model = await asyncio.to_thread(write_tiny_checkpoint, tmp_path / "tiny")
    settings = {"model": {"name": str(model), "dtype": "float32", "n_threads": 1}}
    async with serve(tmp_path, settings) as served:
        await served.until_state("ready")
        crowd = await type_all(served, n_typists=3, duration_s=2.5)
    assert crowd.n_typists == 3
    assert crowd.n_requests > 3
    assert crowd.n_answered + crowd.n_superseded + crowd.n_lost == crowd.n_requests
    assert (crowd.n_lost, crowd.n_answered_twice) == (0, 0)
    assert crowd.p50_ms <= crowd.p95_ms <= crowd.p99_ms
