"""HumanEval-Infilling (Bavarian et al. 2022): spans cut out of right solutions, judged by tests.

Owns the tasks' meaning. A filling is right where the solution with it passes the task's tests,
and exact where the solution is the author's again, letter by letter. As in the published harness
`prompt + filling + suffix` is what runs, so a filling must bring its own indentation and line end.

What the product shows is asked for where a user would be: on an open line, whose end is there
already, where whole lines were cut out; at the very place where a span was.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from fimble_eval.benchmarks.task_file import Record
from fimble_eval.filling.hole import Filling, Hole

__all__ = ["REQUIRED", "Split", "first_line", "hole_of", "open_line_of", "problem_of", "source_of"]

REQUIRED = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")


class Split(enum.Enum):
    """What was cut out: one line, some lines, a span of characters."""

    SINGLE_LINE = "single-line"
    MULTI_LINE = "multi-line"
    RANDOM_SPAN = "random-span"

    @staticmethod
    def of(records: Sequence[Record]) -> Split:
        """By the name that the first task carries."""
        name = records[0]["task_id"]
        if name.startswith("SingleLine"):
            return Split.SINGLE_LINE
        return Split.MULTI_LINE if name.startswith("MultiLine") else Split.RANDOM_SPAN


def problem_of(record: Record) -> str:
    """The problem that a task was cut from: "HumanEval/0"."""
    return "/".join(record["task_id"].split("/")[1:3])


def hole_of(record: Record, *, has_memory: bool) -> Hole:
    """The task as published."""
    return Hole(
        hole_id=record["task_id"],
        uri=f"file:///humaneval/{record['task_id']}.py",
        language_id="python",
        prefix=record["prompt"],
        middle=record["canonical_solution"],
        suffix=record["suffix"],
        memory_scope=record["task_id"] if has_memory else None,
    )


def open_line_of(record: Record, *, has_memory: bool) -> Hole:
    """The task as a user meets it: where whole lines are missing, one is open and empty."""
    hole = hole_of(record, has_memory=has_memory)
    if not (hole.middle.endswith("\n") and (not hole.prefix or hole.prefix.endswith("\n"))):
        return hole
    return Hole(
        hole_id=hole.hole_id,
        uri=hole.uri,
        language_id=hole.language_id,
        prefix=hole.prefix,
        middle=hole.middle.removesuffix("\n"),
        suffix="\n" + hole.suffix,
        memory_scope=hole.memory_scope,
    )


def source_of(record: Record, hole: Hole, filling: Filling) -> str:
    """The solution with the filling, and the task's tests."""
    return f"{filling.completed(hole)}\n{record['test']}\ncheck({record['entry_point']})"


def first_line(filling: Filling) -> Filling:
    """The filling cut after its first line that says something: one line was missing."""
    start = len(filling.text) - len(filling.text.lstrip())
    end = filling.text.find("\n", start)
    if end < 0:
        return filling
    return Filling(text=filling.text[: end + 1], n_tokens=filling.n_tokens, reason=filling.reason)
