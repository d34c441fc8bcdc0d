"""The verbs of `fimble-eval` about the engine: measure its speed, make what that is done with.

Owns their options and what they show.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fimble_server.errors import FimbleError

__all__ = ["export_to_gguf", "measure_engine", "weigh_sizes", "write_random"]

_LLAMA_PYTHON = "FIMBLE_LLAMA_PYTHON"

_Only = Annotated[
    str | None, typer.Option(help="Parts to run, with commas between; all if left out.")
]
_Model = Annotated[str | None, typer.Option(help="The model that ships, by name.")]
_Large = Annotated[
    Path | None,
    typer.Option(help="Folder of the model for speed; random weights of 62M if left out."),
]
_Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of every contender; all cores if left out.")
]
_LlamaPython = Annotated[
    str | None,
    typer.Option(
        envvar=_LLAMA_PYTHON, help="A Python that has llama-cpp-python; this one if left out."
    ),
]
_Work = Annotated[
    Path | None, typer.Option(help="Folder that keeps the models made for measuring.")
]
_Out = Annotated[Path | None, typer.Option(help="Folder for the result's files.")]


_Gpu = Annotated[
    bool, typer.Option("--gpu", help="Measure on a CUDA GPU instead, in eight minutes.")
]
_Rehearse = Annotated[
    bool, typer.Option("--rehearse", help="Try --gpu on the CPU with tiny networks.")
]
_NoGraphs = Annotated[
    bool, typer.Option("--no-graphs", help="With --gpu: decode without CUDA graphs.")
]


def measure_engine(
    only: _Only = None,
    model: _Model = None,
    large: _Large = None,
    threads: _Threads = None,
    llama_python: _LlamaPython = None,
    work: _Work = None,
    out: _Out = None,
    gpu: _Gpu = False,
    rehearse: _Rehearse = False,
    no_graphs: _NoGraphs = False,
) -> None:
    """Measure the engine beside llama.cpp and transformers, and with many typists at once."""
    if gpu or rehearse:
        _measure_gpu(only, out, is_rehearsal=rehearse, has_graphs=not no_graphs)
        return
    import fimble_model
    from fimble_eval.engine_speed.options import EngineOptions
    from fimble_eval.engine_speed.part import PARTS
    from fimble_eval.engine_speed.report import summarise, to_markdown, write_report
    from fimble_eval.engine_speed.run import run_parts
    from fimble_eval.machine import describe_machine

    names = _choose(only, tuple(PARTS))
    notes, machine = Console(stderr=True), describe_machine()
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        options = EngineOptions(
            work=folder.absolute(),
            model=model or fimble_model.default_model_name(),
            large=large,
            n_threads=threads or len(os.sched_getaffinity(0)),
            llama_python=llama_python,
        )
        outcomes = run_parts(
            names, options, on_part=lambda name: notes.print(f"measuring: {name}", style="dim")
        )
    n_threads = options.n_threads
    if out is not None:
        notes.print(f"written to {write_report(out, outcomes, machine, n_threads=n_threads)}")
    console = Console(soft_wrap=True, highlight=False)
    markdown = to_markdown(outcomes, machine, n_threads=n_threads, picture=None)
    console.print(markdown, markup=False)
    result = summarise(outcomes, machine, n_threads=n_threads)
    console.print(json.dumps(result), markup=False)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def _measure_gpu(
    only: str | None, out: Path | None, *, is_rehearsal: bool, has_graphs: bool
) -> None:
    from fimble_eval.gpu_speed.options import LIMITS_S
    from fimble_eval.gpu_speed.verb import measure_gpu

    names = _choose(only, tuple(LIMITS_S))
    if not measure_gpu(names, out=out, is_rehearsal=is_rehearsal, has_graphs=has_graphs):
        raise typer.Exit(1)


def export_to_gguf(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    path: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    kind: Annotated[str, typer.Option(help="f32, f16 or q8_0.")] = "q8_0",
) -> None:
    """Write a model as GGUF, so that llama.cpp runs the same weights (given token ids)."""
    from fimble_model.shipped import find_model_folder
    from fimble_model.training.export_gguf import GGUF_KINDS, export_gguf

    if kind not in GGUF_KINDS:
        raise FimbleError(
            expected=f"--kind as one of {', '.join(GGUF_KINDS)}",
            found=repr(kind),
            to_do="Choose one of them.",
        )
    export_gguf(find_model_folder(model), path, kind)
    n_bytes = path.stat().st_size
    Console(soft_wrap=True, highlight=False).print(
        json.dumps({"path": str(path), "kind": kind, "n_bytes": n_bytes}), markup=False
    )


def write_random(
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    random_weights: Annotated[
        str,
        typer.Option(help="The shape: fimble-base, qwen2.5-coder-1.5b, ... or a config.json."),
    ] = "fimble-base",
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
) -> None:
    """Write a model of some shape with random weights: for measuring speed alone."""
    from fimble_eval.engine_speed.random_model import write_random_model
    from fimble_model.network.shapes import find_shape

    config = find_shape(random_weights)
    write_random_model(folder, config=config, seed=seed)
    Console(soft_wrap=True, highlight=False).print(
        json.dumps({"folder": str(folder), "n_parameters": config.n_parameters}), markup=False
    )


def weigh_sizes(
    out: Annotated[Path, typer.Argument(help="JSON file to write; a .md is written beside it.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A shape by its name; may be repeated.")
    ] = None,
    threads: _Threads = None,
    work: _Work = None,
) -> None:
    """What candidate sizes of the shipped model cost to serve: bytes, memory, a keystroke."""
    from fimble_eval.engine_speed.sizes import SIZE_SHAPES, measure_sizes, to_rows
    from fimble_eval.machine import describe_machine

    machine = describe_machine()
    n_threads = threads or machine.n_cores
    names = only or list(SIZE_SHAPES)
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = to_rows(measure_sizes(folder.absolute(), names, n_threads=n_threads))
    heads = list(rows[0])
    lines = ["| " + " | ".join(head.replace("_", " ") for head in heads) + " |"]
    lines += ["|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(row[head]) for head in heads) + " |" for row in rows]
    table = "\n".join(lines) + "\n"
    summary = {
        "date": machine.date,
        "commit": machine.commit,
        "processor": machine.processor,
        "n_threads": n_threads,
        "sizes": rows,
    }
    out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(table, encoding="utf-8")
    Console(soft_wrap=True, highlight=False).print(table, markup=False)


def _choose(only: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The parts named, in their own order. Raises `FimbleError` for a name that is none."""
    if only is None:
        return known
    wanted = {name.strip() for name in only.split(",")}
    if unknown := wanted - set(known):
        raise FimbleError(
            expected=f"--only with names of {', '.join(known)}",
            found=", ".join(sorted(unknown)),
            to_do="Correct the name, or leave --only out.",
        )
    return tuple(name for name in known if name in wanted)
