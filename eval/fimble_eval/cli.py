"""The console script `fimble-eval`: how fast and how good Fimble is. One JSON line last."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fimble_eval.all_scores import score_everything, write_results_index
from fimble_eval.cli_benchmarks import add_benchmarks
from fimble_eval.engine_speed.verbs import (
    export_to_gguf,
    measure_engine,
    weigh_sizes,
    write_random,
)
from fimble_eval.families.verb import compare_families
from fimble_eval.law.verb import hold_to_law
from fimble_eval.mode_verbs import judge_cases, time_decisions
from fimble_eval.replay.fit_verb import fit_confidence
from fimble_eval.replay.verb import replay_folder
from fimble_eval.rounding_cost import weigh_rounding
from fimble_eval.speculation_gain import measure_speculation
from fimble_server.errors import FimbleError

__all__ = ["app", "main"]

app = typer.Typer(
    name="fimble-eval",
    help="How fast and how good Fimble is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


add_benchmarks(app)
app.command("scores")(score_everything)
app.command("results")(write_results_index)


def main() -> None:
    """Run the console script. A user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except FimbleError as error:
        Console(stderr=True).print(
            f"fimble-eval: {error}", style="red", markup=False, highlight=False
        )
        sys.exit(2)


@app.callback()
def _root() -> None:
    """How fast and how good Fimble is."""


@app.command()
def latency(
    file: Annotated[
        Path | None, typer.Argument(help="The file to type; by default one of Fimble's own.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="A model's name or folder.")] = None,
    spots: Annotated[int, typer.Option(min=1, help="Places of the file that are retyped.")] = 4,
    chars: Annotated[int, typer.Option(min=1, help="Characters typed at each place.")] = 150,
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Type a real file over stdio and report how long each keystroke waited for its answer."""
    from fimble_eval.latency import measure_latency
    from fimble_eval.machine import describe_machine
    from fimble_server.commandline.target import read_source

    path = file or Path(__file__).with_name("latency.py")
    server_arguments = () if model is None else ("--model", model)
    bar = Progress(
        TextColumn("typing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("keys"),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("typing", total=None)
        report = asyncio.run(
            measure_latency(
                name=path.name,
                uri=path.absolute().as_uri(),
                text=read_source(path),
                server_arguments=server_arguments,
                n_spots=spots,
                n_chars_per_spot=chars,
                on_key=lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    result = {**dataclasses.asdict(report), **dataclasses.asdict(describe_machine())}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        result_path = out / f"latency-{report.model}-{result['date']}.json"
        result_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print_line(result)


@app.command()
def memory(
    place: Annotated[
        Path, typer.Argument(help="A folder of packages, or JSON lines with package, path, text.")
    ],
    model: Annotated[str | None, typer.Option("--model", help="A model's name or folder.")] = None,
    cases: Annotated[int, typer.Option(min=1, help="Cursors in each package.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Measure what the project memory adds to a model, on packages it was not trained on."""
    import fimble_model
    from fimble_eval.holes.repository import read_sources
    from fimble_eval.kept_notes import write_page
    from fimble_eval.machine import describe_machine
    from fimble_eval.memory_gain import measure_memory
    from fimble_eval.memory_page import to_markdown

    name = model or fimble_model.default_model_name()
    console = Console(stderr=True)
    with console.status("reading") as status:
        n_done = 0

        def count() -> None:
            nonlocal n_done
            n_done += 1
            status.update(f"{n_done} cursors")

        sources = read_sources(place)
        report = measure_memory(sources, model=name, n_cases=cases, on_case=count)
    result = {**dataclasses.asdict(report), **dataclasses.asdict(describe_machine())}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        stem = out / f"memory-{report.model}-{result['date']}"
        written = json.dumps(result, indent=2) + "\n"
        stem.with_suffix(".json").write_text(written, encoding="utf-8")
        write_page(stem.with_suffix(".md"), to_markdown(report, result))
    _print_line(result)


@app.command()
def surroundings(
    place: Annotated[Path, typer.Argument(help="A folder of packages no model learned from.")],
    model: Annotated[str | None, typer.Option("--model", help="A model's name or folder.")] = None,
    cases: Annotated[int, typer.Option(min=1, help="Lines in each package.")] = 10,
    seed: Annotated[int, typer.Option(help="Which lines.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Measure whether pieces of other files in the prompt help where a line uses their names."""
    import fimble_model
    from fimble_eval.holes.repository import read_sources
    from fimble_eval.machine import describe_machine
    from fimble_eval.surroundings_gain import measure_surroundings

    name = model or fimble_model.default_model_name()
    report = measure_surroundings(
        read_sources(place), model=name, n_cases=cases, seed=seed, on_hole=lambda: None
    )
    result = {**dataclasses.asdict(report), **dataclasses.asdict(describe_machine())}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"surroundings-{report.model}-{result['date']}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print_line(result)


app.command("replay")(replay_folder)
app.command("speculation")(measure_speculation)
app.command("fit-confidence")(fit_confidence)
app.command("cases")(judge_cases)
app.command("engine")(measure_engine)
app.command("rounding")(weigh_rounding)
app.command("gguf")(export_to_gguf)
app.command("random-model")(write_random)
app.command("sizes")(weigh_sizes)
app.command("decisions")(time_decisions)
app.command("law")(hold_to_law)
app.command("families")(compare_families)


@app.command(name="context-speed")
def context_speed(
    folder: Annotated[
        Path | None, typer.Argument(help="A project; by default Python's own library.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="A model's name or folder.")] = None,
    files: Annotated[int, typer.Option(min=1, help="Source files to copy and index.")] = 2_000,
    out: Annotated[Path | None, typer.Option(help="Folder for the result as a file.")] = None,
) -> None:
    """Measure what the project's index costs: building, asking, following an edit."""
    import sysconfig

    import fimble_model
    from fimble_eval.context_speed import measure_context_speed
    from fimble_eval.machine import describe_machine

    root = folder or Path(sysconfig.get_paths()["stdlib"])
    name = model or fimble_model.default_model_name()
    speed = measure_context_speed(root, model=name, n_files=files)
    result = {**dataclasses.asdict(speed), **dataclasses.asdict(describe_machine())}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"context-speed-{result['date']}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print_line(result)


def _print_line(result: dict[str, object]) -> None:
    Console(soft_wrap=True, highlight=False).print(json.dumps(result), markup=False)
