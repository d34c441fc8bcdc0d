"""The verbs of `fimble-eval` about the mode rules: judge the marked cases, time a decision."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fimble_eval.cases import Judged, cases_folder, judge, read_cases, tally
from fimble_eval.decision_speed import LANGUAGE_IDS, measure_decisions
from fimble_eval.machine import describe_machine

__all__ = ["judge_cases", "time_decisions"]


def judge_cases(
    folder: Annotated[Path | None, typer.Argument(help="A folder of case files.")] = None,
) -> None:
    """Judge the marked cases of the mode rules; fails where one does not come out as written."""
    judged = [judge(case) for case in read_cases(folder or cases_folder())]
    console = Console(soft_wrap=True, highlight=False)
    for title, key in (("language", _language), ("rule", _rule)):
        table = Table(title, "cases", "passed")
        for name, n_all, n_passed in tally(judged, key):
            table.add_row(name, str(n_all), str(n_passed))
        console.print(table)
    failed = [each for each in judged if not each.passes]
    for each in failed:
        words = f"{each.case.title}\nexpected {each.case.expected}\nfound {each.found}\n"
        console.print(words, markup=False)
    result = {"n_cases": len(judged), "n_passed": len(judged) - len(failed)}
    console.print(json.dumps(result), markup=False)
    if failed:
        raise typer.Exit(1)


def time_decisions(
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Time parse and decision at every key in files of 5,000 lines; no model runs."""
    speeds = [dataclasses.asdict(measure_decisions(each)) for each in LANGUAGE_IDS]
    console = Console(soft_wrap=True, highlight=False)
    table = Table(*speeds[0])
    for speed in speeds:
        table.add_row(*map(str, speed.values()))
    console.print(table)
    result = {"decisions": speeds, **dataclasses.asdict(describe_machine())}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"decisions-{result['date']}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(json.dumps(result), markup=False)


def _language(judged: Judged) -> str:
    return judged.case.language_id


def _rule(judged: Judged) -> str:
    return judged.case.expected.split()[1]
