"""The verb `fimble-eval replay`: its options, and where its results go."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import fimble_model
from fimble_eval.kept_notes import write_page
from fimble_eval.machine import describe_machine
from fimble_eval.replay.course import Course, replay
from fimble_eval.replay.figures import Figures, by_language, by_mode, count_steps, sum_up
from fimble_eval.replay.parts import PART_NAMES, STEP_NAMES, check_parts
from fimble_eval.replay.person import Policy
from fimble_eval.replay.picture import draw_ablation
from fimble_eval.replay.places import SourceFile, read_sources
from fimble_eval.replay.projects import Projects
from fimble_eval.replay.report import draw, to_csv, to_markdown
from fimble_eval.replay.samples import Sample, write_samples
from fimble_eval.replay.simulation import SimulatedClock
from fimble_eval.replay.typist import Typed
from fimble_eval.replay.written_before import WrittenBefore
from fimble_model.engine.protocol import Engine
from fimble_model.shipped import find_model_folder
from fimble_server.completion.plan import Limits
from fimble_server.context.sources import PROMPT_SOURCES

__all__ = ["course_to_json", "replay_folder"]

_Folder = Annotated[Path, typer.Argument(help="A folder of packages: the files to type.")]
_Model = Annotated[str | None, typer.Option("--model", help="A model's name or folder.")]
_Files = Annotated[int, typer.Option(min=1, help="Most files that are typed.")]
_Keys = Annotated[int, typer.Option(min=1, help="Characters typed in all, about.")]
_Seed = Annotated[int, typer.Option(help="Of the choice of files and of the person.")]
_Policy = Annotated[
    Policy, typer.Option(help="What the person checks before taking: a word or a line.")
]
_Eagerness = Annotated[float, typer.Option(min=0, max=1, help="The user's dial.")]
_Neighbours = Annotated[int, typer.Option(min=0, help="Other files open beside.")]
_MsPerPass = Annotated[
    float, typer.Option(min=0.1, help="Simulated milliseconds of the engine's pass.")
]
_Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of the model.")]
_Without = Annotated[
    list[str] | None, typer.Option("--without", help=f"Leave out: {', '.join(PART_NAMES)}.")
]
_Ablation = Annotated[
    bool, typer.Option("--ablation", help="Once whole, then without each part in turn.")
]
_Out = Annotated[Path | None, typer.Option(help="Folder for the results as files.")]
_Collect = Annotated[
    Path | None, typer.Option(help="Keep what the model wrote here, for `fit-confidence`.")
]


def replay_folder(
    folder: _Folder,
    model: _Model = None,
    files: _Files = 20,
    keys: _Keys = 4_000,
    seed: _Seed = 0,
    policy: _Policy = Policy.LINE,
    eagerness: _Eagerness = 0.5,
    neighbours: _Neighbours = 3,
    ms_per_pass: _MsPerPass = 4.0,
    threads: _Threads = None,
    without: _Without = None,
    ablation: _Ablation = False,
    out: _Out = None,
    collect: _Collect = None,
) -> None:
    """Type real files key by key, with a person who takes what is right, and count."""
    course = Course(
        seed=seed,
        policy=policy,
        n_files=files,
        n_keys=keys,
        n_neighbours=neighbours,
        ms_per_pass=ms_per_pass,
        limits=Limits(eagerness=eagerness),
        without=check_parts(without or ()),
    )
    sources = read_sources(folder)
    name = model or fimble_model.default_model_name()
    clock = SimulatedClock()
    engine = fimble_model.load(name, n_threads=threads, clock=clock)
    samples: list[Sample] = []
    written = WrittenBefore() if ablation else None
    with TemporaryDirectory() as place:
        projects = Projects(
            folder=Path(place), model_folder=find_model_folder(name), sources=sources
        )
        run = functools.partial(
            _run, sources, engine, clock=clock, written=written, projects=projects
        )
        runs = {"all": run(course, samples=samples)}
        acted = count_steps(runs["all"])
        idle = _idle_parts(acted, shows_pieces=engine.codec.shows_files)
        for part in PART_NAMES if ablation else ():
            if part not in idle:
                left_out = dataclasses.replace(course, without=course.without | {part})
                runs[f"without {part}"] = run(left_out)
    if collect is not None:
        write_samples(collect, samples)
    _report(runs, idle, course=course, model=engine.model.name, sources=sources, out=out)


def _idle_parts(acted: Counter[str], *, shows_pieces: bool) -> list[str]:
    return [part for part in PART_NAMES if _is_idle(part, acted, shows_pieces=shows_pieces)]


def _is_idle(part: str, acted: Counter[str], *, shows_pieces: bool) -> bool:
    """Whether a part did nothing all the time: it changes nothing where it is left out."""
    if part in (*PROMPT_SOURCES, "pieces"):
        return not shows_pieces
    return part in STEP_NAMES and not acted[part]


def _run(
    sources: Sequence[SourceFile],
    engine: Engine,
    course: Course,
    *,
    clock: SimulatedClock,
    written: WrittenBefore | None,
    projects: Projects,
    samples: list[Sample] | None = None,
) -> tuple[Typed, ...]:
    label = " ".join(sorted(course.without)) or "nothing"
    columns = (TextColumn(f"typing without {label}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        return replay(
            sources,
            engine,
            course,
            clock=clock,
            on_place=lambda done, total: bar.update(task, completed=done, total=total),
            on_generation=None if samples is None else samples.append,
            written=written,
            projects=projects,
        )


def _report(
    runs: dict[str, tuple[Typed, ...]],
    idle: Sequence[str],
    *,
    course: Course,
    model: str,
    sources: Sequence[SourceFile],
    out: Path | None,
) -> None:
    """Tables on stderr, files in `out`, one JSON line last."""
    overall = {name: sum_up(typed) for name, typed in runs.items()}
    modes, languages = by_mode(runs["all"]), by_language(runs["all"])
    console = Console(stderr=True, width=200)
    for title, rows in (("by part", overall), ("by mode", modes), ("by language", languages)):
        console.print(draw(rows, title=title))
    result = {
        "model": model,
        "packages": sorted({typed.place.file.package for typed in runs["all"]}),
        "n_files_to_choose_from": len(sources),
        "course": course_to_json(course),
        "steps_acted": dict(count_steps(runs["all"]).most_common()),
        "idle_parts": list(idle),
        "figures": {name: dataclasses.asdict(figures) for name, figures in overall.items()},
        "by_mode": {name: dataclasses.asdict(figures) for name, figures in modes.items()},
        "by_language": {name: dataclasses.asdict(figures) for name, figures in languages.items()},
        **dataclasses.asdict(describe_machine()),
    }
    if out is not None:
        _write(out, result, overall, modes, languages)
    Console(soft_wrap=True, highlight=False).print(json.dumps(result), markup=False)


def course_to_json(course: Course) -> dict[str, object]:
    """What was typed and how, with the limits' own choices by their values."""
    stated: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(course), default=_plain))
    return stated


def _plain(value: object) -> object:
    """A choice as its value, a set as a sorted list."""
    if isinstance(value, enum.Enum):
        return value.value
    assert isinstance(value, frozenset), "a course holds choices, sets and what JSON knows"
    return sorted(value)


def _write(
    out: Path,
    result: dict[str, object],
    overall: dict[str, Figures],
    modes: dict[str, Figures],
    languages: dict[str, Figures],
) -> None:
    kind = "ablation" if len(overall) > 1 else "replay"
    stem = out / f"{kind}-{result['model']}-{result['date']}"
    out.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if kind == "ablation":
        draw_ablation(overall, stem.with_suffix(".png"))
    stem.with_suffix(".csv").write_text(to_csv(overall), encoding="utf-8")
    page = (
        f"# Typing held-out files with {result['model']}\n\n"
        "What the figures mean is said in `eval/fimble_eval/replay/figures.py`.\n\n"
        f"{to_markdown(overall)}\n"
        f"How often each step of post-processing did something: {_words(result['steps_acted'])}.\n"
        f"{_idle_words(result['idle_parts'])}\n"
        f"\n## By mode\n\n{to_markdown(modes)}\n"
        f"## By language\n\n{to_markdown(languages)}"
    )
    write_page(stem.with_suffix(".md"), page)


def _idle_words(names: object) -> str:
    assert isinstance(names, list), "names of parts"
    if not names:
        return "Every part had something to do."
    return f"Had nothing to do, so that leaving it out changes nothing: {', '.join(names)}."


def _words(counts: object) -> str:
    assert isinstance(counts, dict), "counts by name"
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "never any"
