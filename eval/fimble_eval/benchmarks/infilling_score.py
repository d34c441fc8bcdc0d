"""Infilling, scored: every task filled, run and counted, in one of two views.

Owns the order of the work and the table's columns.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fimble_eval.benchmarks.infilling import (
    Split,
    first_line,
    hole_of,
    open_line_of,
    problem_of,
    source_of,
)
from fimble_eval.benchmarks.judging import judge_all, parse_all
from fimble_eval.benchmarks.programs import python_program
from fimble_eval.benchmarks.task_file import Record
from fimble_eval.filling.hole import Filling, Hole
from fimble_eval.filling.raw import fill_raw
from fimble_eval.filling.shown import fill_as_shown
from fimble_eval.results import Result, circumstances, share_of
from fimble_eval.rivals.choosing import Rival
from fimble_eval.sandbox.sandbox import Limits, Verdict
from fimble_model.engine.stopping import NeverStop, StopAfterLines
from fimble_server.completion.plan import Trigger

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["View", "draw_infilling", "score_infilling"]

_MOST_NEW_TOKENS = {Split.SINGLE_LINE: 64, Split.MULTI_LINE: 192, Split.RANDOM_SPAN: 128}
_LIMITS = Limits()


class View(enum.Enum):
    """The model's own word up to its end token, on the task as published; the same on an open
    line, up to the line's end where one line is missing; what the product shows to one who
    types; what it shows to one who asks.
    """

    RAW = "raw"
    OPEN = "open"
    SHOWN = "shown"
    ASKED = "asked"


def score_infilling(
    records: Sequence[Record],
    rival: Rival,
    *,
    view: View,
    has_memory: bool,
    on_filled: Callable[[], None],
    on_judged: Callable[[], None],
) -> Result:
    """Fill and run all tasks of one split. Each is judged twice: `on_judged` counts both."""
    split = Split.of(records)
    lay_out = hole_of if view is View.RAW else open_line_of
    holes = [lay_out(record, has_memory=has_memory) for record in records]
    fillings = _fill(rival, holes, split, view, on_filled)
    is_line = split is Split.SINGLE_LINE
    cut = [first_line(filling) if is_line else filling for filling in fillings]
    cases = list(zip(records, holes, strict=True))
    sources = [
        source_of(record, hole, filling)
        for answers in (fillings, cut)
        for (record, hole), filling in zip(cases, answers, strict=True)
    ]
    parsing = parse_all(sources)
    passed = _passes(sources, parsing, on_judged)
    rows = [
        _row(record, hole, filling, line, (passed[index], passed[len(cases) + index]))
        | {"parses": int(parsing[index])}
        for index, ((record, hole), filling, line) in enumerate(
            zip(cases, fillings, cut, strict=True)
        )
    ]
    return Result(rows=tuple(rows), summary=_summary(rows, rival, split, view, has_memory))


def _fill(
    rival: Rival, holes: Sequence[Hole], split: Split, view: View, on_filled: Callable[[], None]
) -> list[Filling]:
    if view in (View.SHOWN, View.ASKED):
        trigger = Trigger.AUTOMATIC if view is View.SHOWN else Trigger.INVOKED
        return fill_as_shown(rival.engine, holes, trigger=trigger, on_filled=on_filled)
    is_one_line = view is View.OPEN and split is Split.SINGLE_LINE
    stop = StopAfterLines(1) if is_one_line else NeverStop()
    fillings: dict[int, Filling] = {}
    for filled in fill_raw(
        rival.engine,
        holes,
        stop_for=lambda hole: stop,
        max_new_tokens=_MOST_NEW_TOKENS[split],
    ):
        fillings[filled.hole_index] = filled.filling
        rival.engine.forget(holes[filled.hole_index].hole_id)
        on_filled()
    return [fillings[index] for index in range(len(holes))]


def _passes(
    sources: Sequence[str], parsing: Sequence[bool], on_judged: Callable[[], None]
) -> list[bool]:
    places = [index for index, is_sound in enumerate(parsing) if is_sound]
    for _ in range(len(sources) - len(places)):
        on_judged()
    programs = [python_program(sources[index]) for index in places]
    outcomes = judge_all(programs, _LIMITS, on_judged=on_judged)
    passed = [False] * len(sources)
    for index, outcome in zip(places, outcomes, strict=True):
        passed[index] = outcome.verdict is Verdict.PASSED
    return passed


def _row(
    record: Record, hole: Hole, filling: Filling, line: Filling, passed: tuple[bool, bool]
) -> dict[str, object]:
    return {
        "task_id": record["task_id"],
        "group": problem_of(record),
        "passed": int(passed[0]),
        "exact": int(filling.is_exact(hole)),
        "passed_cut": int(passed[1]),
        "exact_cut": int(line.is_exact(hole)),
        "n_middle_chars": len(hole.middle),
        "n_filled_chars": len(filling.text),
        "n_tokens": filling.n_tokens,
        "confidence": round(filling.confidence, 4),
        "reason": filling.reason.partition("(")[0].strip(),
    }


def _summary(
    rows: Sequence[Mapping[str, object]], rival: Rival, split: Split, view: View, has_memory: bool
) -> dict[str, object]:
    summary: dict[str, object] = {
        "benchmark": f"humaneval-infilling {split.value}",
        "view": view.value,
        "has_memory": has_memory,
        "n_tasks": len(rows),
        "pass@1": share_of(rows, "passed"),
        "exact": share_of(rows, "exact"),
        "parses": share_of(rows, "parses"),
    }
    if split is Split.SINGLE_LINE:
        summary["pass@1_cut_after_one_line"] = share_of(rows, "passed_cut")
        summary["exact_cut_after_one_line"] = share_of(rows, "exact_cut")
    if view in (View.SHOWN, View.ASKED):
        shown = [row for row in rows if row["n_filled_chars"]]
        summary["shown"] = round(len(shown) / len(rows), 4)
        summary["pass@1_of_shown"] = share_of(shown, "passed") if shown else None
        summary["exact_of_shown"] = share_of(shown, "exact") if shown else None
    return summary | circumstances(rival)


def draw_infilling(result: Result) -> Callable[[Axes], None]:
    """Shares by the length of what was cut out."""

    def draw(axes: Axes) -> None:
        lengths = np.array([int(str(row["n_middle_chars"])) for row in result.rows])
        edges = np.unique(np.quantile(lengths, np.linspace(0, 1, 7)).round())
        places = np.clip(np.searchsorted(edges, lengths, "right") - 1, 0, max(len(edges) - 2, 0))
        for column, marker in (("passed", "o"), ("passed_cut", "s"), ("exact", "^")):
            values = np.array([float(str(row[column])) for row in result.rows])
            found = [place for place in range(len(edges)) if (places == place).any()]
            axes.plot(
                [float(np.mean(lengths[places == place])) for place in found],
                [float(np.mean(values[places == place])) for place in found],
                marker=marker,
                label=f"{column.replace('_', ', ')} ({np.mean(values):.1%})",
            )
        axes.set(xlabel="characters cut out", ylabel="share of tasks", ylim=(0, None))
        summary = result.summary
        axes.set_title(f"{summary['benchmark']}, {summary['view']}: {summary['model']}")
        axes.legend()

    return draw
