"""The options that the verbs of `fimble-train` share: their names, ranges and help.

Owns these declarations and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AlsoOption",
    "BenchmarksOption",
    "CasesOption",
    "CharsOption",
    "CompareOption",
    "CompileOption",
    "DeviceOption",
    "DryRunOption",
    "FromOption",
    "MinutesOption",
    "OutOption",
    "PackageCharsOption",
    "RateScaleOption",
    "RecipeOption",
    "RowsOption",
    "SeedOption",
    "SourcesOption",
    "StopAfterOption",
    "ThreadsOption",
    "WorkOption",
    "WorkersOption",
]

WorkOption = Annotated[Path, typer.Option("--work", help="Folder for corpus and checkpoints.")]
RecipeOption = Annotated[str, typer.Option("--model", help="Which model to make.")]
SourcesOption = Annotated[Path, typer.Option("--sources", help="TOML list of packages.")]
BenchmarksOption = Annotated[
    list[Path] | None,
    typer.Option("--benchmarks", help="Folder of benchmark files to keep out; may be repeated."),
]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", min=0.01, help="Training time; the recipe's if absent.")
]
StopAfterOption = Annotated[
    float | None,
    typer.Option(
        "--stop-after", min=0.01, help="Minutes that this call has; run it again to go on."
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="CPU threads to train with.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of weights, order and cuts.")]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option(
        "--also", help="Another form to write beside it: int8, gguf-q8_0; may be repeated."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of the model; in the work folder if absent.")
]
CasesOption = Annotated[
    int, typer.Option("--cases", min=1, help="Lines to complete for each of the two line scores.")
]
CompileOption = Annotated[
    bool, typer.Option("--compile/--no-compile", help="Compile the step: faster, needs gcc.")
]
CharsOption = Annotated[
    int | None,
    typer.Option("--chars", min=1, help="Characters of the whole mix; the recipe's if absent."),
]
PackageCharsOption = Annotated[
    int,
    typer.Option("--package-chars", min=1, help="Most characters that one package may give."),
]
RateScaleOption = Annotated[
    float, typer.Option("--rate-scale", min=0.001, help="Times the recipe's learning rates.")
]
FromOption = Annotated[
    Path | None, typer.Option("--from", help="Model folder to start from instead of from nothing.")
]

DeviceOption = Annotated[str, typer.Option("--device", help="cpu, or cuda: one GPU, in bfloat16.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Processes that make rows ahead; 0 for none.")
]
RowsOption = Annotated[
    int | None,
    typer.Option("--rows", min=1, help="Rows of a step, where memory or time has less room."),
]
DryRunOption = Annotated[
    int, typer.Option("--dry-run", min=0, help="Only measure so many steps; nothing is written.")
]
CompareOption = Annotated[
    Path | None, typer.Option("--compare", help="Model folder to measure on the same text.")
]
