"""`fimble-eval engine --gpu`: runs the parts, shows the table, writes the files."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from fimble_eval.engine_speed.report import to_markdown
from fimble_eval.engine_speed.run import PartOutcome
from fimble_eval.gpu_speed.run import choose_options, describe_gpu, run_gpu_parts
from fimble_eval.machine import Machine, describe_machine

__all__ = ["measure_gpu", "summarise_gpu", "write_gpu_report"]


def measure_gpu(
    names: Sequence[str], *, out: Path | None, is_rehearsal: bool, has_graphs: bool = True
) -> bool:
    """Whether every part ran. One JSON line comes last. Raises `FimbleError` without a GPU."""
    options = choose_options(is_rehearsal=is_rehearsal, has_graphs=has_graphs)
    notes, machine, started_s = Console(stderr=True), describe_machine(), time.monotonic()
    card = describe_gpu(options)

    def keep(outcomes: Sequence[PartOutcome]) -> None:
        if out is not None:
            write_gpu_report(out, outcomes, machine, card)

    outcomes = run_gpu_parts(
        names,
        options,
        on_part=lambda name: notes.print(f"measuring: {name}", style="dim"),
        on_outcomes=keep,
    )
    card["spent_s"] = round(time.monotonic() - started_s, 1)
    console = Console(soft_wrap=True, highlight=False)
    console.print(_markdown(outcomes, machine, card, None), markup=False)
    if out is not None:
        notes.print(f"written to {write_gpu_report(out, outcomes, machine, card)}")
    console.print(json.dumps(summarise_gpu(outcomes, machine, card)), markup=False)
    return not any(outcome.failed for outcome in outcomes)


def summarise_gpu(
    outcomes: Sequence[PartOutcome], machine: Machine, card: Mapping[str, object]
) -> dict[str, object]:
    """Everything in one JSON object."""
    met = [row.is_met for outcome in outcomes for row in outcome.rows]
    return {
        **dataclasses.asdict(machine),
        **card,
        "n_met": met.count(True),
        "n_missed": met.count(False),
        "rows": [
            {"part": outcome.name, **dataclasses.asdict(row), "is_met": row.is_met}
            for outcome in outcomes
            for row in outcome.rows
        ],
        "details": {outcome.name: outcome.details for outcome in outcomes},
        "failed": {outcome.name: outcome.failed for outcome in outcomes if outcome.failed},
    }


def _markdown(
    outcomes: Sequence[PartOutcome],
    machine: Machine,
    card: Mapping[str, object],
    picture: str | None,
) -> str:
    table = to_markdown(
        [dataclasses.replace(outcome, details={}) for outcome in outcomes],
        machine,
        n_threads=machine.n_cores,
        picture=picture,
    )
    facts = ", ".join(f"{name} {value}" for name, value in card.items())
    return table.replace("# The engine's speed", f"# The engine's speed on a GPU\n\n{facts}.", 1)


def write_gpu_report(
    folder: Path, outcomes: Sequence[PartOutcome], machine: Machine, card: Mapping[str, object]
) -> Path:
    """Write JSON, CSV, Markdown and picture; the Markdown's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"engine-gpu-{machine.date}"
    summary = summarise_gpu(outcomes, machine, card)
    stem.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    picture = stem.with_suffix(".png") if _draw(outcomes, stem.with_suffix(".png")) else None
    text = _markdown(outcomes, machine, card, picture.name if picture else None)
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["part", "measure", "unit", "ours", "other", "merit", "target", "is_met"])
        for outcome in outcomes:
            for row in outcome.rows:
                figures = (row.ours, row.other, row.merit, row.target, row.is_met)
                writer.writerow([outcome.name, row.measure, row.unit, *figures])
    return stem.with_suffix(".md")


def _draw(outcomes: Sequence[PartOutcome], path: Path) -> bool:
    """Each measure with a target, as how many times it is reached: 1 or more is met."""
    reached = {
        row.measure: (row.target / row.merit) if row.is_ceiling else (row.merit / row.target)
        for outcome in outcomes
        for row in outcome.rows
        if row.merit and row.target
    }
    if not reached:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.5 + 0.4 * len(reached)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(reached), list(reached.values()), color="tab:blue")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set(xlabel="times the target")
    axes.invert_yaxis()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return True
