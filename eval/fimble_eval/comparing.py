"""Two results on the same tasks, compared task by task.

Owns the pairing. The interval is of the difference: what both find hard cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fimble_eval.machine import describe_machine
from fimble_eval.results import Result, read_table
from fimble_eval.statistics.bootstrap import mean_interval, resampled_means
from fimble_server.errors import FimbleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "draw_comparison"]

_N_DRAWN = 4_000


def compare(
    first: Path, second: Path, *, column: str, without: Path | None = None, kind: str | None = None
) -> Result:
    """The second's column less the first's, on the tasks that both have.

    `without` is a contamination table: its touched tasks are left out. `kind` keeps one kind of
    holes. Raises `FimbleError` where the files have no task, or not this column, in common.
    """
    required = ("task_id", "group", column, *(("kind",) if kind else ()))
    left = {row["task_id"]: row for row in read_table(first, required)}
    right = {row["task_id"]: row for row in read_table(second, required)}
    touched = _touched(without) if without else frozenset()
    shared = [
        task_id
        for task_id, row in left.items()
        if task_id in right and task_id not in touched and kind in (None, row.get("kind"))
    ]
    rows = _pairs(shared, left, right, column)
    if not rows:
        raise FimbleError(
            expected=f"tasks that {first.name} and {second.name} have in common",
            found="none with a number in that column",
            to_do="Compare two results of one benchmark, with the same --limit and --seed.",
        )
    differences = [float(str(row["difference"])) for row in rows]
    interval = mean_interval(differences, [str(row["group"]) for row in rows])
    machine = describe_machine()
    summary: dict[str, object] = {
        "first": first.stem,
        "second": second.stem,
        "column": column,
        "kind": kind,
        "n_tasks": len(rows),
        "n_only_in_one": len(left.keys() ^ right.keys()),
        "n_touched_left_out": len(touched & left.keys() & right.keys()),
        "first_mean": round(float(np.mean([float(str(row["first"])) for row in rows])), 4),
        "second_mean": round(float(np.mean([float(str(row["second"])) for row in rows])), 4),
        "difference": round(interval.mean, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "level": interval.level,
        "excludes_zero": interval.excludes_zero,
        "n_second_better": sum(difference > 0 for difference in differences),
        "n_first_better": sum(difference < 0 for difference in differences),
        "date": machine.date,
        "commit": machine.commit,
    }
    return Result(rows=tuple(rows), summary=summary)


def _touched(path: Path) -> frozenset[str]:
    rows = read_table(path, ("task_id", "touched"))
    return frozenset(row["task_id"] for row in rows if row["touched"] == "1")


def _pairs(
    shared: Sequence[str],
    left: Mapping[str, Mapping[str, str]],
    right: Mapping[str, Mapping[str, str]],
    column: str,
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for task_id in shared:
        try:
            first, second = float(left[task_id][column]), float(right[task_id][column])
        except ValueError:  # One of the two has no such figure for this task.
            continue
        rows.append(
            {
                "task_id": task_id,
                "group": left[task_id]["group"],
                "first": first,
                "second": second,
                "difference": round(second - first, 6),
            }
        )
    return rows


def draw_comparison(result: Result) -> Callable[[Axes], None]:
    """The differences that resampling gave, and the interval that holds most of them."""

    def draw(axes: Axes) -> None:
        summary = result.summary
        differences = [float(str(row["difference"])) for row in result.rows]
        groups = [str(row["group"]) for row in result.rows]
        axes.hist(resampled_means(differences, groups, n_resamples=_N_DRAWN, seed=0), bins=50)
        low, high = float(str(summary["low"])), float(str(summary["high"]))
        axes.axvspan(low, high, alpha=0.2)
        axes.axvline(0.0, color="black", linewidth=0.8)
        axes.set(xlabel=f"difference of mean {summary['column']}", ylabel="resamples")
        axes.set_title(f"{summary['second']}\nless {summary['first']}", fontsize=9)

    return draw
