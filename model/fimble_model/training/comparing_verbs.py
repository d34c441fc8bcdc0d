"""The verbs of `fimble-train` that compare choices before time on a GPU is spent on one.

Owns their options, and the tables that they show and write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from fimble_model.engine.clock import SystemClock
from fimble_model.network.config import NetworkConfig
from fimble_model.training.ablation import VariantScore, find_variants
from fimble_model.training.ablation import ablate as run_variants
from fimble_model.training.bars import console
from fimble_model.training.options import RecipeOption, SeedOption, ThreadsOption, WorkOption
from fimble_model.training.recipes import find_recipe
from fimble_model.training.stages import Workshop
from fimble_model.training.storage import write_text_whole
from fimble_model.training.tokenizer import cut_vocabulary

__all__ = ["ablate", "vocabularies"]

_SIZES = [4096, 8192, 16384, 32768]
_ABLATION_CHARS = 12_000_000


def ablate(
    out: Annotated[Path, typer.Argument(help="JSON file of scores; a .md is written beside it.")],
    work: WorkOption = Path("runs"),
    model: RecipeOption = "fimble-base",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A variant by its name; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of 2,048 tokens each.")] = 300,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Train a million parameters a few minutes in several ways, and measure each.

    Interrupt it and run it again: what is measured is not measured again.
    """
    torch.set_num_threads(threads)
    workshop = Workshop(folder=work, recipe=find_recipe(model))
    documents = workshop.small_mix(_ABLATION_CHARS)
    scores = run_variants(
        find_variants(only),
        documents,
        workshop.held_out_documents(),
        out,
        n_steps=steps,
        clock=SystemClock(),
        on_score=lambda score: console.print(f"{score.name}: {score.plain_bits} plain"),
        seed=seed,
    )
    table = _variants_table(scores)
    write_text_whole(out.with_suffix(".md"), table)
    console.print(table, markup=False)


def vocabularies(
    out: Annotated[Path, typer.Argument(help="JSON file to write; a .md is written beside it.")],
    work: WorkOption = Path("runs"),
    model: RecipeOption = "fimble-base",
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=300, help="A size; may be repeated.")
    ] = None,
) -> None:
    """Characters a token by language for vocabularies of several sizes, and what each costs."""
    wanted = sorted(sizes or _SIZES)
    workshop = Workshop(folder=work, recipe=find_recipe(model))
    largest = workshop.learn_vocabulary(wanted[-1])
    measured = {size: workshop.chars_per_token(cut_vocabulary(largest, size)) for size in wanted}
    table = _vocabulary_table(measured, workshop.recipe.network)
    write_text_whole(out, json.dumps({str(s): c for s, c in measured.items()}, indent=1) + "\n")
    write_text_whole(out.with_suffix(".md"), table)
    console.print(table, markup=False)


def _variants_table(scores: list[VariantScore]) -> str:
    lines = [
        "| variant | parameters | tokens | train s | characters a token | plain, bits a character "
        "| middles after SPM | middles after PSM |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.name} | {s.n_parameters:,} | {s.n_tokens:,} | {s.train_s:.0f} | "
        f"{s.chars_per_token:.2f} | {s.plain_bits:.3f} | {s.spm_bits:.3f} | {s.psm_bits:.3f} |"
        for s in scores
    ]
    return "\n".join(lines) + "\n"


def _vocabulary_table(measured: Mapping[int, Mapping[str, float]], network: NetworkConfig) -> str:
    sizes = list(measured)
    lines = [
        "| language | " + " | ".join(f"{size:,}" for size in sizes) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for language in measured[sizes[0]]:
        cells = (f"{measured[size][language]:.2f}" for size in sizes)
        lines.append(f"| {language} | " + " | ".join(cells) + " |")
    heads = {size: size * network.width for size in sizes}
    totals = {s: replace(network, vocabulary_size=s).n_parameters for s in sizes}
    python = {size: measured[size].get("python", 1.0) for size in sizes}
    rows = (
        ("million parameters", [f"{totals[s] / 1e6:.1f}" for s in sizes]),
        ("share of the head in a decoded token", [f"{heads[s] / totals[s]:.0%}" for s in sizes]),
        (
            "weights read a character of Python, MB in int8",
            [f"{totals[s] / 1e6 / python[s]:.1f}" for s in sizes],
        ),
    )
    lines += [f"| *{name}* | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join(lines) + "\n"
