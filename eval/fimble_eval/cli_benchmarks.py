"""The verbs of `fimble-eval` that say how good a model is: benchmarks, holes, comparisons.

Owns options and progress bars. What is measured, and how, is elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from fimble_server.errors import FimbleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fimble_eval.benchmarks.infilling_score import View
    from fimble_eval.holes.holes_score import HolesView
    from fimble_eval.rivals.choosing import Rival

__all__ = ["add_benchmarks"]

_Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model's name or folder; git:COMMIT for the small model shipped at that commit; "
        "constant:TEXT for one and the same answer; ngram for the project memory alone.",
    ),
]
_Data = Annotated[Path, typer.Option("--data", help="The benchmark's file (.jsonl, .jsonl.gz).")]
_Limit = Annotated[int | None, typer.Option(min=1, help="At most so many tasks: a quick look.")]
_Seed = Annotated[int, typer.Option(min=0, help="Which tasks a quick look takes.")]
_Out = Annotated[Path | None, typer.Option(help="Folder for CSV, picture and summary.")]
_Memory = Annotated[
    bool, typer.Option("--memory/--no-memory", help="Have the project memory speak too.")
]


def add_benchmarks(app: typer.Typer) -> None:
    """Give the console script these verbs."""
    for verb in (infilling, humaneval, holes, compare, contamination):
        app.command()(verb)


def infilling(
    data: _Data,
    model: _Model = None,
    view: Annotated[
        str, typer.Option(help="raw, open: the model's own word. shown, asked: what Fimble shows.")
    ] = "raw",
    memory: _Memory = True,
    limit: _Limit = None,
    seed: _Seed = 0,
    out: _Out = None,
) -> Path | None:
    """HumanEval-Infilling: spans of right programs, filled in and judged by their tests."""
    from fimble_eval.benchmarks import infilling_score
    from fimble_eval.benchmarks.infilling import REQUIRED, Split
    from fimble_eval.benchmarks.task_file import choose_some, read_records
    from fimble_eval.results import stem_for, write_result

    chosen = _parse_view(view)
    records = choose_some(read_records(data, REQUIRED), limit, seed)
    _require_sandbox()
    rival = _load(model)
    with _progress() as bar:
        on_filled = _counter(bar, "filling", len(records))
        on_judged = _counter(bar, "running", 2 * len(records))
        result = infilling_score.score_infilling(
            records,
            rival,
            view=chosen,
            has_memory=memory,
            on_filled=on_filled,
            on_judged=on_judged,
        )
    if out is not None:
        memory_part = "" if memory else "no-memory"
        split = Split.of(records).value
        stem = stem_for("infilling", split, view, rival.label, memory_part)
        write_result(out, stem, result, infilling_score.draw_infilling(result))
    _print_line(result.summary)
    return None if out is None else out / f"{stem}.csv"


def humaneval(
    data: _Data,
    model: _Model = None,
    samples: Annotated[int, typer.Option(min=1, help="Tries at each task.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    k: Annotated[str, typer.Option("--k", help="The k of pass@k, with commas.")] = "1",
    memory: _Memory = True,
    limit: _Limit = None,
    seed: _Seed = 0,
    out: _Out = None,
) -> Path | None:
    """HumanEval or one language of HumanEval-X: functions written from their descriptions."""
    from fimble_eval.benchmarks.humaneval_score import (
        REQUIRED,
        Tries,
        draw_humaneval,
        score_humaneval,
    )
    from fimble_eval.benchmarks.task_file import choose_some, read_records
    from fimble_eval.results import stem_for, write_result

    ks = _parse_ks(k, samples)
    records = choose_some(read_records(data, REQUIRED), limit, seed)
    _require_sandbox()
    rival = _load(model)
    tries = Tries(n_samples=samples, temperature=temperature, ks=ks)
    with _progress() as bar:
        on_filled = _counter(bar, "writing", len(records) * samples)
        on_judged = _counter(bar, "running", None)
        result = score_humaneval(
            records,
            rival,
            tries,
            has_memory=memory,
            on_filled=on_filled,
            on_judged=on_judged,
        )
    if out is not None:
        memory_part = "" if memory else "no-memory"
        name = str(result.summary["benchmark"])
        tried = f"n{samples}-t{temperature}" if samples > 1 else ""
        stem = stem_for(name, rival.label, memory_part, tried)
        write_result(out, stem, result, draw_humaneval(result, ks))
    _print_line(result.summary)
    return None if out is None else out / f"{stem}.csv"


def holes(
    place: Annotated[
        Path, typer.Argument(help="A repository, a folder of them, or a held-out corpus file.")
    ],
    model: _Model = None,
    view: Annotated[
        str, typer.Option(help="raw: the model's own word. shown: what Fimble shows.")
    ] = "raw",
    cases: Annotated[int, typer.Option(min=1, help="Holes of a kind in each package.")] = 40,
    bits: Annotated[bool, typer.Option("--bits/--no-bits", help="Count bits too.")] = True,
    memory: _Memory = True,
    seed: _Seed = 0,
    out: _Out = None,
) -> Path | None:
    """Cut holes into repositories that no model saw, and compare what is filled in."""
    from fimble_eval.holes.cutting import cut_holes
    from fimble_eval.holes.holes_score import draw_holes, score_holes
    from fimble_eval.holes.repository import read_sources
    from fimble_eval.results import stem_for, write_result

    chosen = _parse_holes_view(view)
    cuts = cut_holes(read_sources(place), n_cases=cases, seed=seed, has_memory=memory)
    if not cuts:
        raise FimbleError(
            expected="lines to cut holes into",
            found=f"none in {place}",
            to_do="Name a repository with more source code.",
        )
    rival = _load(model)
    with _progress() as bar:
        result = score_holes(
            cuts,
            rival,
            view=chosen,
            has_memory=memory,
            has_bits=bits,
            on_filled=_counter(bar, "filling", len(cuts)),
            on_scored=_counter(bar, "scoring", len(cuts)),
        )
    if out is not None:
        memory_part = "" if memory else "no-memory"
        stem = stem_for("holes", place.stem, view, rival.label, memory_part)
        write_result(out, stem, result, draw_holes(result))
    _print_line(result.summary)
    return None if out is None else out / f"{stem}.csv"


def compare(
    first: Annotated[Path, typer.Argument(help="A result's CSV file.")],
    second: Annotated[Path, typer.Argument(help="Another's, on the same tasks.")],
    column: Annotated[str, typer.Option(help="What is compared.")] = "exact",
    kind: Annotated[str | None, typer.Option(help="Only holes of this kind.")] = None,
    without: Annotated[
        Path | None, typer.Option(help="A contamination CSV: its touched tasks are left out.")
    ] = None,
    out: _Out = None,
) -> Path | None:
    """Compare two results task by task, with a confidence interval for the difference."""
    from fimble_eval.comparing import compare as compare_results
    from fimble_eval.comparing import draw_comparison
    from fimble_eval.results import stem_for, write_result

    result = compare_results(first, second, column=column, without=without, kind=kind)
    if out is not None:
        parts = ("compare", first.stem, second.stem, column, kind or "")
        stem = stem_for(*parts, "untouched" if without else "")
        write_result(out, stem, result, draw_comparison(result))
    _print_line(result.summary)
    return None if out is None else out / f"{stem}.csv"


def contamination(
    corpus: Annotated[Path, typer.Argument(help="A folder of source files, or JSON lines.")],
    data: _Data,
    out: _Out = None,
) -> None:
    """Say of each task of a benchmark how much of it stands in a corpus."""
    from fimble_eval.benchmarks.task_file import read_records
    from fimble_eval.contamination.search import draw_contamination, read_corpus, search
    from fimble_eval.results import Result, stem_for, write_result

    records = read_records(data, ("task_id", "prompt"))
    with _progress() as bar:
        documents = _counter(bar, "reading", None)
        result = search(records, read_corpus(corpus), on_document=documents)
    named = {"benchmark": data.name.partition(".")[0], "corpus": corpus.name}
    result = Result(rows=result.rows, summary=named | dict(result.summary))
    if out is not None:
        stem = stem_for("contamination", named["benchmark"], corpus.stem)
        write_result(out, stem, result, draw_contamination(result))
    _print_line(result.summary)


def _parse_holes_view(name: str) -> HolesView:
    from fimble_eval.holes.holes_score import HolesView

    try:
        return HolesView(name)
    except ValueError as error:
        raise FimbleError(
            expected=f"a view, one of {', '.join(view.value for view in HolesView)}",
            found=repr(name),
            to_do="Choose one of these.",
        ) from error


def _parse_view(name: str) -> View:
    from fimble_eval.benchmarks.infilling_score import View

    try:
        return View(name)
    except ValueError as error:
        raise FimbleError(
            expected=f"a view, one of {', '.join(view.value for view in View)}",
            found=repr(name),
            to_do="Choose one of these.",
        ) from error


def _parse_ks(written: str, n_samples: int) -> tuple[int, ...]:
    try:
        ks = tuple(sorted({int(part) for part in written.split(",")}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 1 or ks[-1] > n_samples:
        raise FimbleError(
            expected=f"--k with numbers from 1 to the {n_samples} samples of each task",
            found=repr(written),
            to_do="Raise --samples, or ask for a smaller k.",
        )
    return ks


def _require_sandbox() -> None:
    from fimble_eval.sandbox.sandbox import SandboxError, why_unavailable

    lack = why_unavailable()
    if lack is not None:
        raise SandboxError(
            expected="a system on which programs can be caged",
            found=lack,
            to_do="Allow user namespaces, or measure in a machine or container that has them.",
        )


def _load(model: str | None) -> Rival:
    from fimble_eval.rivals.choosing import choose_rival

    with Console(stderr=True).status("loading the model"):
        return choose_rival(model)


@contextmanager
def _progress() -> Iterator[Progress]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        yield bar


def _counter(bar: Progress, name: str, total: int | None) -> Callable[[], None]:
    task = bar.add_task(name, total=total)
    return lambda: bar.advance(task)


def _print_line(summary: Mapping[str, object]) -> None:
    Console(soft_wrap=True, highlight=False).print(json.dumps(summary), markup=False)
