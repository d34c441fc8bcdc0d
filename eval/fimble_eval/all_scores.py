"""Every score of one model, one after the other, and its comparisons with its rivals.

Owns what is measured of a model that ships: which benchmarks, how many of their tasks (the same
seeded ones every time), and which results are set side by side. How, is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from fimble_eval import cli_benchmarks as verbs
from fimble_eval.benchmarks.toolchains import why_lacking
from fimble_eval.results_index import write_index
from fimble_server.errors import FimbleError

__all__ = ["Job", "drop_stale", "plan_jobs", "score_everything", "write_results_index"]

# A quarter of an hour on two cores: compiled languages pay for two compilations a task.
_LINES, _RAW_LINES, _SPANS, _SAMPLED, _COMPILED = 400, 300, 200, 20, 60
_HOLES = 4
_EVALX = {"js": "javascript", "rust": "rust", "cpp": "cpp", "go": "go", "java": "java"}
_NOTHING = "constant:"
_PASSED, _EXACT = "passed", "exact"
_KINDS = ("infilling-", "humaneval-", "holes-", "compare-")

_Rivals = Annotated[
    list[str],
    typer.Option("--rival", help="What the model is compared with, as --model names it."),
]


class Job(NamedTuple):
    """One measurement: `run` writes its files and returns the CSV's path.

    Results of one `group` are of the same tasks, the model's first; `columns` are compared.
    """

    title: str
    run: Callable[[], Path | None]
    group: str = ""
    columns: tuple[str, ...] = ()


def score_everything(
    data: Annotated[Path, typer.Argument(help="The folder that holds the benchmarks' files.")],
    held_out: Annotated[Path, typer.Argument(help="What `fimble-train corpus` held out.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("eval/results"),
    model: Annotated[str | None, typer.Option(help="As for the other verbs.")] = None,
    rivals: _Rivals = ["git:34e6de7", "ngram", _NOTHING],  # noqa: B006 (typer wants the list itself)
) -> None:
    """All scores of a model, and its comparisons; takes the place of the last one's results."""
    notes, written = Console(stderr=True), list[Path]()
    groups: dict[str, tuple[tuple[str, ...], list[Path]]] = {}
    for job in plan_jobs(data, held_out, out, model, rivals):
        notes.print(job.title, style="bold")
        path = job.run()
        if path is None:
            continue
        written.append(path)
        if job.group:
            groups.setdefault(job.group, (job.columns, []))[1].append(path)
    for columns, (own, *others) in groups.values():
        compared = [
            verbs.compare(other, own, column=column, out=out)
            for other in others
            for column in columns
        ]
        written += [path for path in compared if path is not None]
    drop_stale(out, {path.stem for path in written})
    notes.print(f"{write_index(out)} says which file shows what")


def write_results_index(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")] = Path("eval/results"),
) -> None:
    """Write the page that says which file of a folder shows what."""
    Console(soft_wrap=True, highlight=False).print(str(write_index(folder)), markup=False)


def plan_jobs(
    data: Path, held_out: Path, out: Path, model: str | None, rivals: Sequence[str]
) -> Iterator[Job]:
    """What is measured, in its order. Languages whose tools are lacking are left out.

    Raises `FimbleError` where a benchmark's file is not in `data`.
    """
    lines = _find(data, "HumanEval-SingleLineInfilling.jsonl.gz")
    blocks = _find(data, "HumanEval-MultiLineInfilling.jsonl.gz")
    spans = _find(data, "HumanEval-RandomSpanInfillingLight.jsonl.gz")
    functions = _find(data, "HumanEval.jsonl.gz")
    for each in (model, *rivals):
        open_line = _infilling(lines, out, each, view="open", limit=_LINES)
        yield Job(f"single line: {each}", open_line, "lines", (_EXACT, _PASSED))
    yield Job("single line, raw", _infilling(lines, out, model, limit=_RAW_LINES))
    yield Job("multi line", _infilling(blocks, out, model, limit=_SPANS))
    yield Job("random span", _infilling(spans, out, model, limit=None))
    for each in (model, *(rival for rival in rivals if rival != _NOTHING)):
        yield Job(f"holes: {each}", _holes(held_out, out, each), "holes", (_EXACT,))
    yield Job("holes, as shown", _holes(held_out, out, model, view="shown"))
    yield Job("HumanEval", _humaneval(functions, out, model))
    yield Job("HumanEval, sampled", _sampled(functions, out, model))
    for short, language in _EVALX.items():
        file = _find(data, f"humaneval_{short}.jsonl.gz")
        if why_lacking(language) is None:
            limit = None if language in ("javascript", "rust") else _COMPILED
            yield Job(f"HumanEval-X: {language}", _humaneval(file, out, model, limit))


def drop_stale(folder: Path, stems: set[str]) -> None:
    """Remove the scores in a folder that are not among `stems`; other measurements stay."""
    for path in folder.iterdir():
        if path.name.startswith(_KINDS) and path.stem not in stems:
            path.unlink()


def _infilling(
    file: Path, out: Path, model: str | None, view: str = "raw", limit: int | None = None
) -> Callable[[], Path | None]:
    return lambda: verbs.infilling(file, model, view, limit=limit, out=out)


def _humaneval(
    file: Path, out: Path, model: str | None, limit: int | None = None
) -> Callable[[], Path | None]:
    return lambda: verbs.humaneval(file, model, limit=limit, out=out)


def _sampled(file: Path, out: Path, model: str | None) -> Callable[[], Path | None]:
    return lambda: verbs.humaneval(
        file, model, samples=20, temperature=0.4, k="1,10", limit=_SAMPLED, out=out
    )


def _holes(
    place: Path, out: Path, model: str | None, view: str = "raw"
) -> Callable[[], Path | None]:
    has_bits = view == "raw" and model != "ngram"
    return lambda: verbs.holes(place, model, view, cases=_HOLES, bits=has_bits, out=out)


def _find(data: Path, name: str) -> Path:
    found = sorted(data.rglob(name))
    if not found:
        raise FimbleError(
            expected=f"{name} in {data} or below it",
            found="no such file",
            to_do="Name the folder that holds the benchmarks as published.",
        )
    return found[0]
