"""The result for people and for programs: a table, a file of each kind, and a picture.

Owns the form. Pure but for the writing of files.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fimble_eval.engine_speed.run import PartOutcome
from fimble_eval.machine import Machine

__all__ = ["summarise", "to_markdown", "write_report"]

_MARKS = {True: "yes", False: "**no**", None: ""}
_HEAD = (
    "| measure | ours | beside | | target | met |\n|---|---|---|---|---|---|"
)  # fmt: skip


def summarise(
    outcomes: Sequence[PartOutcome], machine: Machine, *, n_threads: int
) -> dict[str, object]:
    """Everything in one JSON object; the longest lists are left to the files."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    met = [row.is_met for row in rows]
    return {
        **dataclasses.asdict(machine),
        "n_threads": n_threads,
        "n_met": met.count(True),
        "n_missed": met.count(False),
        "rows": [
            {"part": outcome.name, **dataclasses.asdict(row), "is_met": row.is_met}
            for outcome in outcomes
            for row in outcome.rows
        ],
        "crowds": _crowds(outcomes),
        "skipped": {each.name: each.skipped for each in outcomes if each.skipped},
        "failed": {each.name: each.failed for each in outcomes if each.failed},
    }


def to_markdown(
    outcomes: Sequence[PartOutcome], machine: Machine, *, n_threads: int, picture: str | None
) -> str:
    """The table, the crowds of typists, and the circumstances."""
    lines = [
        "# The engine's speed",
        "",
        f"{machine.date}, commit {machine.commit}, {machine.n_cores} cores of {machine.processor}, "
        f"{machine.memory_gib} GiB, {n_threads} threads for every contender, "
        f"Python {machine.python}. Medians of one run; contenders took turns.",
        "",
        _HEAD,
        *(_line(row) for outcome in outcomes for row in outcome.rows),
    ]
    for outcome in outcomes:
        if outcome.skipped or outcome.failed:
            words = outcome.skipped or outcome.failed
            kind = "skipped" if outcome.skipped else "failed"
            lines += ["", f"The part `{outcome.name}` was {kind}: {words}"]
    for model, crowds in _crowds(outcomes).items():
        lines += ["", f"## Typists on one server, {model}", "", *_crowd_table(crowds)]
    if picture is not None:
        lines += ["", f"![Waits and answers as typists are added]({picture})"]
    return "\n".join(lines) + "\n"


def _line(row: Any) -> str:
    other = "" if row.other is None else f"{row.other:g} {row.unit} ({row.other_name})"
    merit = "" if row.merit is None else f"{row.merit:g} {row.merit_words}"
    sign = "at most" if row.is_ceiling else "at least"
    target = "" if row.target is None else f"{sign} {row.target:g}"
    note = f"; {row.note}" if row.note else ""
    return (
        f"| {row.measure}{note} | {row.ours:g} {row.unit} | {other} | {merit} | {target} "
        f"| {_MARKS[row.is_met]} |"
    )


def _crowds(outcomes: Sequence[PartOutcome]) -> dict[str, list[dict[str, Any]]]:
    """The crowds by model."""
    return {
        str(outcome.details["model"]): list(outcome.details["crowds"])  # type: ignore[call-overload]  # JSON
        for outcome in outcomes
        if "crowds" in outcome.details
    }


def _crowd_table(crowds: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(crowds[0])
    return [
        "| " + " | ".join(name.removeprefix("n_").replace("_", " ") for name in names) + " |",
        "|" + "---|" * len(names),
        *("| " + " | ".join(f"{crowd[name]:g}" for name in names) + " |" for crowd in crowds),
    ]


def write_report(
    folder: Path, outcomes: Sequence[PartOutcome], machine: Machine, *, n_threads: int
) -> Path:
    """Write JSON, Markdown, CSV and picture into a folder; the path of the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"engine-{machine.date}"
    crowds = _crowds(outcomes)
    picture = stem.with_suffix(".png") if crowds else None
    if picture is not None:
        _draw(crowds, picture)
    summary = summarise(outcomes, machine, n_threads=n_threads)
    stem.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    markdown = to_markdown(
        outcomes, machine, n_threads=n_threads, picture=picture.name if picture else None
    )
    stem.with_suffix(".md").write_text(markdown, encoding="utf-8")
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        rows = [
            (outcome.name, *dataclasses.astuple(row), row.is_met)
            for outcome in outcomes
            for row in outcome.rows
        ]
        names = [field.name for field in dataclasses.fields(outcomes[0].rows[0])] if rows else []
        writer.writerow(["part", *names, "is_met"])
        writer.writerows(rows)
    return stem.with_suffix(".md")


def _draw(crowds: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Waits above, answers a second below, over the number of typists."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (waits, answers) = pyplot.subplots(2, 1, figsize=(7, 7), sharex=True)
    for model, some in crowds.items():
        sizes = [crowd["n_typists"] for crowd in some]
        for percent, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
            values = [crowd[f"{percent}_ms"] for crowd in some]
            waits.plot(sizes, values, style, marker="o", label=f"{model} {percent}")
        answers.plot(sizes, [crowd["answers_per_s"] for crowd in some], marker="o", label=model)
    waits.set(xscale="log", yscale="log", ylabel="wait for an answer, ms")
    answers.set(xscale="log", xlabel="typists at once", ylabel="answers a second")
    answers.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    for axes in (waits, answers):
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
