"""`fimble-eval families`: every family beside transformers, as one table in three files.

Owns the verb and the table's form.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fimble_eval.families.documented import PromptFinding, compare_prompts
from fimble_eval.families.shapes import SHAPES
from fimble_eval.machine import describe_machine

if TYPE_CHECKING:
    from fimble_eval.families.measuring import FamilyFigures

__all__ = ["compare_families", "write_families"]


def compare_families(
    only: Annotated[str, typer.Option(help="A model_type, to measure that family alone.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of either side.")] = 1,
    timed: Annotated[int, typer.Option(min=1, help="Times each speed is taken.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables as files.")] = None,
) -> None:
    """Random networks of every family beside transformers: logits, tokens, prompts, speed."""
    from fimble_eval.families.measuring import measure_family

    shapes = [shape for shape in SHAPES if only in ("", shape.model_type)]
    if not shapes:
        names = ", ".join(sorted({shape.model_type for shape in SHAPES}))
        raise typer.BadParameter(f"expected one of {names}; found {only!r}")
    console = Console(stderr=True)
    figures = []
    for shape in shapes:
        console.print(f"{shape.model_type}: {shape.words}", highlight=False)
        figures.append(measure_family(shape, n_threads=threads, n_timed=timed))
    prompts = compare_prompts()
    if out is not None:
        write_families(out, figures, prompts, n_threads=threads)
    typer.echo(
        json.dumps(
            {
                "n_checkpoints": len(figures),
                "largest_difference": max(
                    max(each.difference, each.cached_difference) for each in figures
                ),
                "least_greedy_equal": min(each.greedy_equal for each in figures),
                "n_prompts_as_documented": sum(map(_is_documented, prompts)),
                "n_formats": len(prompts),
            }
        )
    )


def write_families(
    folder: Path,
    figures: Sequence[FamilyFigures],
    prompts: Sequence[PromptFinding],
    *,
    n_threads: int,
) -> None:
    """`families-DATE` in Markdown, JSON and CSV; the CSV holds the checkpoints alone."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    stem = folder / f"families-{machine.date}"
    whole = {
        "machine": asdict(machine),
        "n_threads": n_threads,
        "checkpoints": [asdict(each) for each in figures],
        "prompts": [asdict(each) for each in prompts],
    }
    stem.with_suffix(".json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        rows = [asdict(each) for each in figures]
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    where = (
        f"{machine.processor}, {machine.n_cores} cores, {n_threads} threads used, "
        f"{machine.date}, commit {machine.commit}"
    )
    text = _render(where, figures, prompts)
    stem.with_suffix(".md").write_text(text, encoding="utf-8")


def _render(where: str, figures: Sequence[FamilyFigures], prompts: Sequence[PromptFinding]) -> str:
    from fimble_eval.families.measuring import N_GREEDY

    lines = [
        "# Families beside transformers",
        "",
        f"`fimble-eval families --out eval/results`; {where}.",
        "",
        "Random checkpoints that transformers writes. Differences are the largest over all "
        "log-probabilities of a prompt of 256 tokens, in one pass and through the cache in chunks. "
        f"Tokens are greedy, of {N_GREEDY}, equal up to the first that differs. Times are medians "
        "in milliseconds, float32 on both sides: the prompt in one pass, and one token after it. "
        "int8 is ours alone; its kernels are the native ones where they take the network.",
        "",
        "| family | checkpoint | difference | through the cache | tokens | prompt: ours, theirs "
        "| token: ours, theirs | int8: kernels, prompt, token |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.family} | {each.shape} | {each.difference:.1e} | {each.cached_difference:.1e} "
        f"| {each.greedy_equal} of {N_GREEDY} "
        f"| {each.prefill_ms:.1f}, {each.prefill_theirs_ms:.1f} "
        f"| {each.decode_ms:.2f}, {each.decode_theirs_ms:.2f} "
        f"| {each.int8_kernels}, {each.int8_prefill_ms:.1f}, {each.int8_decode_ms:.2f} |"
        for each in figures
    ]
    lines += [
        "",
        "## Prompts beside what publishers document",
        "",
        "| format | orders | alone | with other files | special strings stay text | source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.family} | {each.orders} | {_word(each.alone)} | {_word(each.with_files)} "
        f"| {_word(each.special_strings)} | {each.source} |"
        for each in prompts
    ]
    return "\n".join(lines) + "\n"


def _word(is_equal: bool | None) -> str:
    if is_equal is None:
        return "none shown"
    return "equal" if is_equal else "NOT equal"


def _is_documented(finding: PromptFinding) -> bool:
    return finding.alone and finding.special_strings and finding.with_files is not False
