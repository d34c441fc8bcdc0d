"""Two results are paired by task, and what one of them has not is no difference."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fimble_eval.comparing import compare, draw_comparison
from fimble_eval.results import write_result
from fimble_model.errors import FimbleError


def _table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _result(path: Path, exact: list[object], **more: object) -> Path:
    return _table(
        path,
        [
            {"task_id": f"t{index}", "group": f"g{index // 2}", "exact": value} | more
            for index, value in enumerate(exact)
        ],
    )


def test_the_difference_is_paired(tmp_path: Path) -> None:
    """Right everywhere but on hard tasks, and always one better: no doubt is left."""
    base = [0, 1] * 40
    first = _result(tmp_path / "a.csv", [0.1 * value for value in base])
    second = _result(tmp_path / "b.csv", [0.1 * value + 0.05 for value in base])
    result = compare(first, second, column="exact")
    summary = result.summary
    assert (summary["difference"], summary["low"], summary["high"]) == (0.05, 0.05, 0.05)
    assert summary["excludes_zero"]
    assert (summary["n_second_better"], summary["n_first_better"]) == (80, 0)
    write_result(tmp_path / "out", "compare", result, draw_comparison(result))
    assert (tmp_path / "out/compare.png").stat().st_size > 0


def test_a_few_tasks_decide_nothing(tmp_path: Path) -> None:
    first = _result(tmp_path / "a.csv", [0, 1, 0, 1, 1, 0])
    second = _result(tmp_path / "b.csv", [1, 0, 0, 1, 1, 1])
    assert not compare(first, second, column="exact").summary["excludes_zero"]


def test_only_tasks_of_both_count_and_touched_ones_can_be_left_out(tmp_path: Path) -> None:
    first = _result(tmp_path / "a.csv", [0, 0, 0, 0])
    second = _result(tmp_path / "b.csv", [1, 1, "", 1, 1, 1])
    touched = _table(
        tmp_path / "touched.csv",
        [{"task_id": "t0", "touched": 1}, {"task_id": "t1", "touched": 0}],
    )
    summary = compare(first, second, column="exact", without=touched).summary
    assert (summary["n_tasks"], summary["n_only_in_one"]) == (2, 2)
    assert summary["n_touched_left_out"] == 1


def test_one_kind_of_holes_can_be_compared(tmp_path: Path) -> None:
    first = _result(tmp_path / "a.csv", [0, 0], kind="line")
    second = _result(tmp_path / "b.csv", [1, 1], kind="line")
    assert compare(first, second, column="exact", kind="line").summary["n_tasks"] == 2
    with pytest.raises(FimbleError, match="none with a number"):
        compare(first, second, column="exact", kind="block")


def test_a_column_or_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    first = _result(tmp_path / "a.csv", [0])
    with pytest.raises(FimbleError, match="passed"):
        compare(first, first, column="passed")
    with pytest.raises(FimbleError):
        compare(first, tmp_path / "nowhere.csv", column="exact")
