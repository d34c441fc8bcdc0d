"""`fimble-eval law`: hold the law of acceleration to whole files, at some cursors or at all.

Owns which files and cursors, and the report. No model runs.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fimble_eval.law.judging import Judge
from fimble_eval.machine import describe_machine
from fimble_server.document.languages import Language, language_for_path
from fimble_server.document.syntax import parse
from fimble_server.errors import FimbleError

__all__ = ["LanguageTally", "hold_to_law", "judge_file"]

_N_SHOWN_FAULTS = 20


@dataclasses.dataclass(slots=True, kw_only=True)
class LanguageTally:
    """What was tried in one language: `n_asked` counts cursors times adversaries times triggers."""

    n_files: int = 0
    n_cursors: int = 0
    n_asked: int = 0
    n_violations: int = 0
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)

    def to_json(self) -> dict[str, object]:
        """The counts under their names; `asdict` makes no dictionary of a `Counter`."""
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names} | {"kinds": dict(self.kinds)}


def judge_file(
    language: Language, text: str, tally: LanguageTally, *, n_cursors: int, without: frozenset[str]
) -> list[str]:
    """Add a file's cursors to the tally, so many drawn by chance or, at 0, every one."""
    judge, cursors = Judge(language, text, without), range(len(text))
    chosen = sorted(random.Random(len(text)).sample(cursors, k=min(n_cursors, len(text))))
    faults = []
    for cursor in chosen if n_cursors else cursors:
        n_asked, found = judge.judge_at(cursor)
        tally.n_asked += n_asked
        tally.n_cursors += n_asked > 0
        faults += found
    tally.n_files += 1
    tally.n_violations += len(faults)
    tally.kinds.update(": ".join(fault.split(": ", 3)[:3]) for fault in faults)
    return faults


def hold_to_law(
    folder: Annotated[Path, typer.Argument(help="A folder of source files.")],
    cursors: Annotated[int, typer.Option(min=0, help="Cursors a file; 0 for every one.")] = 0,
    without: Annotated[list[str] | None, typer.Option(help="A step to leave out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Play engines that run on past the block at every cursor; fails where one gets through.

    Files are taken that are ASCII, have line feeds and a grammar, and parse without an error.
    """
    tallies: dict[str, LanguageTally] = {}
    faults: list[str] = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        language, text = language_for_path(path.name), _try_read(path)
        if text is None or not _is_whole(language, text):
            continue
        tally = tallies.setdefault(language.language_id, LanguageTally())
        faults += judge_file(
            language, text, tally, n_cursors=cursors, without=frozenset(without or ())
        )
    if not tallies:
        raise FimbleError(
            expected="a folder of source files that parse without an error",
            found=f"none in {folder}",
            to_do="Name a folder of whole files: fimble-eval law DIR.",
        )
    _report(tallies, faults, without or [], out)


def _try_read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\r" in text else text


def _is_whole(language: Language, text: str) -> bool:
    if language.grammar_id is None:
        return False
    tree = parse(language, text).tree
    return tree is not None and not tree.root_node.has_error


def _report(
    tallies: dict[str, LanguageTally], faults: list[str], without: list[str], out: Path | None
) -> None:
    console = Console(soft_wrap=True, highlight=False)
    table = Table("language", "files", "cursors", "asked", "violations")
    for name, tally in sorted(tallies.items()):
        counts = (tally.n_files, tally.n_cursors, tally.n_asked, tally.n_violations)
        table.add_row(name, *map(str, counts))
    console.print(table)
    for fault in faults[:_N_SHOWN_FAULTS]:
        console.print(fault + "\n", markup=False)
    languages = {name: tally.to_json() for name, tally in sorted(tallies.items())}
    result = {
        "n_cursors": sum(tally.n_cursors for tally in tallies.values()),
        "n_asked": sum(tally.n_asked for tally in tallies.values()),
        "n_violations": len(faults),
        "without": without,
        "languages": languages,
        **dataclasses.asdict(describe_machine()),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        stem = "-".join(["law", *(f"without-{name}" for name in without), str(result["date"])])
        (out / f"{stem}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(json.dumps(result), markup=False)
    if faults:
        raise typer.Exit(1)
