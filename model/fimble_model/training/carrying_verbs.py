"""The verbs of `fimble-train` that take a run to another machine and back.

Owns their options and what they show; `carrying` owns the form of what is carried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fimble_model.training.bars import console
from fimble_model.training.carrying import carry_files, take_files
from fimble_model.training.options import RecipeOption, WorkOption
from fimble_model.training.recipes import find_recipe
from fimble_model.training.stages import Workshop

__all__ = ["carry", "take"]


def carry(
    out: Annotated[Path, typer.Argument(help="Folder to write, of pieces up to 15 MB.")],
    work: WorkOption = Path("runs"),
    model: RecipeOption = "fimble-base",
    run: Annotated[
        bool, typer.Option("--run", help="How far the run has come, in place of its data.")
    ] = False,
) -> None:
    """Write what a run needs elsewhere, or how far it came there, in small pieces."""
    workshop = Workshop(folder=work, recipe=find_recipe(model))
    paths = workshop.run_files() if run else workshop.data_files()
    pieces = carry_files(work, paths, out)
    n_bytes = sum(piece.n_bytes for piece in pieces)
    console.print(f"{len(paths)} files in {len(pieces)} pieces, {n_bytes:,} bytes in {out}")


def take(
    folders: Annotated[list[Path], typer.Argument(help="Folders that were carried here.")],
    work: WorkOption = Path("runs"),
) -> None:
    """Take up pieces that were carried here; exit status 2 while some have not come."""
    missing: tuple[str, ...] = ()
    for folder in folders:
        taken = take_files(folder, work)
        missing = taken.missing
        console.print(f"{folder}: {len(taken.paths)} files are whole")
    if missing:
        console.print(f"still to come: {', '.join(missing)}", soft_wrap=True)
        raise typer.Exit(2)
