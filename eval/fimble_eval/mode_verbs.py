"""The verbs of `fimble-eval` about the mode rules: judge the marked cases, time a decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fimble_eval.cases import Judged, cases_folder, judge, read_cases, tally

__all__ = ["judge_cases"]


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


def _language(judged: Judged) -> str:
    return judged.case.language_id


def _rule(judged: Judged) -> str:
    return judged.case.expected.split()[1]
