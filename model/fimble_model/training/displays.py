"""Tables that the verbs show in a terminal.

Owns how results look. Never measures and never decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from fimble_model.training.dry_run import DryRun
from fimble_model.training.planning import SizePlan
from fimble_model.training.scoring import LanguageScore

__all__ = ["draw_plan", "show_dry_run", "show_plan", "show_scores"]


def show_chars_per_token(measured: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """A row a language, a column a vocabulary."""
    table = Table("characters a token", *measured)
    for language in next(iter(measured.values()), {}):
        table.add_row(language, *(f"{each[language]:.2f}" for each in measured.values()))
    console.print(table)


def show_scores(scores: Mapping[str, Mapping[str, LanguageScore]], console: Console) -> None:
    """Bits per character: a row for each language, a column for each model."""
    table = Table("language", "characters", *scores, title="bits per character, held-out packages")
    languages = sorted({language for by_language in scores.values() for language in by_language})
    for language in languages:
        found = [by_language.get(language) for by_language in scores.values()]
        n_chars = max(score.n_chars for score in found if score)
        cells = [f"{score.bits_per_char:.3f}" if score else "" for score in found]
        table.add_row(language, f"{n_chars:,}", *cells)
    console.print(table)


def show_dry_run(dry_run: DryRun, console: Console) -> None:
    """What a run would do, in a few lines."""
    per_parameter = dry_run.planned_tokens / dry_run.n_parameters
    console.print(f"{dry_run.n_parameters:,} parameters")
    console.print(f"{dry_run.tokens_per_s:,.0f} tokens/s")
    console.print(f"{dry_run.rows_share:.0%} of a step's time to make its rows in one go")
    console.print(
        f"{dry_run.planned_tokens / 1e6:,.1f} million tokens in the planned time, "
        f"{per_parameter:.1f} a parameter"
    )
    if dry_run.peak_gpu_bytes is not None:
        console.print(f"{dry_run.peak_gpu_bytes / 1e9:.1f} GB of GPU memory at most")


def show_plan(plans: Sequence[SizePlan], optimal: float, console: Console) -> None:
    """The sizes, smallest first, and which one the training time asks for."""
    best = min(plans, key=lambda plan: plan.expected_loss)
    training = Table(
        "model", "parameters", "tokens", "of optimum", "loss", "memory", title="to train"
    )
    serving = Table("model", "int8", "float32", "prefill/s", "ms a token", title="to serve")
    for plan in plans:
        style = None if plan.fits else "dim"
        training.add_row(
            plan.name,
            f"{plan.n_parameters / 1e6:.1f}M",
            f"{plan.train_tokens / 1e6:,.1f}M",
            f"{plan.optimum_share:.2g}",
            f"{plan.expected_loss:.2f}",
            f"{plan.training_bytes / 1e9:.2f} GB",
            style=style,
        )
        serving.add_row(
            plan.name,
            f"{plan.serving_bytes['int8'] / 1e9:.2f} GB",
            f"{plan.serving_bytes['float32'] / 1e9:.2f} GB",
            f"{plan.prefill_tokens_per_s:,.0f}",
            f"{plan.decode_ms_per_token:.2f}",
            style=style,
        )
    console.print(training)
    console.print(serving)
    console.print(f"compute-optimal in this time: {optimal / 1e6:.1f} million parameters")
    console.print(
        f"lowest expected loss of these: {best.name}. A smaller one that comes near it answers "
        "sooner: tokens past its optimum are paid once, latency at every key."
    )


def draw_plan(plans: Sequence[SizePlan], path: Path) -> None:
    """Expected loss and the time of a decoded token over the size, as a picture."""
    figure = Figure(figsize=(6, 3.5), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    sizes = [plan.n_parameters / 1e6 for plan in plans]
    axes.plot(sizes, [plan.expected_loss for plan in plans], marker="o")
    axes.set_xscale("log")
    axes.set_xlabel("million parameters")
    axes.set_ylabel("expected loss (nats, published fit)")
    axes.grid(alpha=0.3)
    right = axes.twinx()
    decode_ms = [plan.decode_ms_per_token for plan in plans]
    right.plot(sizes, decode_ms, marker="s", linestyle="--", color="gray")
    right.set_ylabel("ms a decoded token (dashed)")
    figure.savefig(path, metadata={"Software": None})
