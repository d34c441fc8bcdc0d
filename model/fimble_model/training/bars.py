"""How far a stage has come, on the terminal or as lines in a log.

Owns the console of `fimble-train` and its bars.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fimble_model.training.pretraining import Progress as TrainingProgress

__all__ = ["console", "reporter", "stage_bar"]

console = Console()


def reporter(bar: Progress, move: Callable[[float], None]) -> Callable[[TrainingProgress], None]:
    """Shows progress as a bar in a terminal and as lines in a log."""

    def report(progress: TrainingProgress) -> None:
        move(progress.elapsed_s)
        if not console.is_terminal:
            console.print(
                f"{progress.elapsed_s:>8.0f} s  step {progress.n_steps:>6}  "
                f"{progress.n_tokens / 1e6:>7.2f} M tokens  loss {progress.loss:.4f}"
            )
        else:
            bar.update(bar.task_ids[0], description=f"train  loss {progress.loss:.3f}")

    return report


def stage_bar() -> Progress:
    """A bar with counts and times; nothing where the output is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
