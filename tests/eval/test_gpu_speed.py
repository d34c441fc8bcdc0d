"""Laws of the measurement on a GPU: it runs, it is refused without one, no part spoils another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fimble_eval.cli import app
from fimble_eval.gpu_speed import run, shapes
from fimble_eval.gpu_speed.options import LIMITS_S, GpuOptions
from fimble_eval.gpu_speed.part import PARTS
from fimble_eval.gpu_speed.shapes import SHAPES
from fimble_eval.rounding_cost import measure_rounding
from fimble_model.gpu_wishes import GpuWishes
from fimble_server.errors import FimbleError
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint

REHEARSAL = GpuOptions(device="cpu", is_rehearsal=True, copy_bytes_per_s=1e9)


def test_all_parts_together_fit_into_eight_minutes() -> None:
    """Their limits add to no more, and every part has one."""
    assert sum(LIMITS_S.values()) <= 480
    assert set(LIMITS_S) == set(PARTS)


def test_the_shapes_are_the_sizes_they_are_called() -> None:
    """Qwen2.5-Coder's parameters, as its card states them."""
    assert {name: round(shape.n_parameters / 1e6) for name, shape in SHAPES.items()} == {
        "0.5b": 494,
        "1.5b": 1544,
        "7b": 7616,
        "base": 62,
    }


@pytest.mark.parametrize(
    "name",
    [
        "ceilings",
        "host",
        "stream-1.5b",
        "stream-1.5b-int8",
        "stream-base",
        "keystroke",
        "batch",
        "typists",
    ],
)
def test_a_part_can_be_rehearsed_on_the_cpu(name: str) -> None:
    """Every row has a figure above 0, but for what is lost."""
    result = PARTS[name](REHEARSAL)
    assert result.rows
    for row in result.rows:
        assert row.ours > 0 or row.measure.endswith("lost")


def test_the_command_runs_from_end_to_end(tmp_path: Path) -> None:
    """Table, files, and one JSON line last, over two of the parts."""
    wanted = ["engine", "--gpu", "--rehearse", "--only", "ceilings,stream-7b"]
    finished = CliRunner().invoke(app, [*wanted, "--out", str(tmp_path)])
    assert finished.exit_code == 0, finished.output
    summary = json.loads(finished.stdout.strip().splitlines()[-1])
    assert [row["part"] for row in summary["rows"]] == ["ceilings", "ceilings", "stream-7b"]
    assert "rehearsal" in summary["gpu"]
    assert summary["details"]["stream-7b"]["share_of_copy"] > 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv", ".md", ".png"}


def test_a_part_that_fails_is_told_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here each takes longer than it may."""
    monkeypatch.setattr(run, "LIMITS_S", dict.fromkeys(LIMITS_S, 0.01))
    outcomes = run.run_gpu_parts(["ceilings", "batch"], REHEARSAL, on_part=lambda name: None)
    assert [outcome.name for outcome in outcomes if outcome.failed] == ["ceilings", "batch"]


def test_what_is_measured_is_handed_on_after_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed keeps what it has; here no part is waited for."""
    monkeypatch.setattr(run, "LIMITS_S", dict.fromkeys(LIMITS_S, 0.01))
    seen: list[int] = []
    run.run_gpu_parts(
        ["ceilings", "batch"],
        REHEARSAL,
        on_part=lambda name: None,
        on_outcomes=lambda outcomes: seen.append(len(outcomes)),
    )
    assert seen == [1, 2]


def test_graphs_are_left_out_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line to the engine that is measured, and said in the result."""
    wanted = ["engine", "--rehearse", "--no-graphs", "--only", "ceilings"]
    finished = CliRunner().invoke(app, wanted)
    assert finished.exit_code == 0, finished.output
    assert json.loads(finished.stdout.strip().splitlines()[-1])["has_graphs"] is False
    wishes: list[GpuWishes | None] = []

    def assemble(*_: object, gpu_wishes: GpuWishes | None, **__: object) -> None:
        wishes.append(gpu_wishes)

    monkeypatch.setattr(shapes, "assemble_engine", assemble)
    for has_graphs in (True, False):
        options = run.choose_options(is_rehearsal=True, has_graphs=has_graphs)
        shapes.build_engine("1.5b", options, n_most_rows=1)
    assert [each and each.has_graphs for each in wishes] == [True, False]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_command_says_so() -> None:
    """In plain words, and no figure is written."""
    with pytest.raises(FimbleError, match="--rehearse"):
        run.choose_options(is_rehearsal=False)


def test_rounded_weights_are_weighed_in_bits_a_character(tmp_path: Path) -> None:
    """A tiny model's cost, with plain weights and with two ways to round them."""
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    bits = measure_rounding(folder, ["def add(a, b):\n    return a + b\n" * 9], device="cpu")
    assert set(bits) == {"float32", "int8", "fp8"}
    assert bits["int8"] != bits["float32"]
    assert abs(bits["int8"] - bits["float32"]) < 0.01 * bits["float32"]
