"""The verb of `fimble-train` that plans a run before it is begun.

Owns its options and what it shows; `planning` owns the formulas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fimble_model.engine.clock import SystemClock
from fimble_model.training.bars import console
from fimble_model.training.displays import draw_plan, show_plan
from fimble_model.training.hardware_speed import measure_hardware
from fimble_model.training.planning import optimal_parameters, plan_sizes

__all__ = ["plan"]


def plan(
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Training time.")] = 90.0,
    tflops: Annotated[
        float | None,
        typer.Option("--tflops", help="Training speed reached, in 10^12 operations a second."),
    ] = None,
    picture: Annotated[Path, typer.Option("--picture", help="Where the plot goes.")] = Path(
        "plan.png"
    ),
) -> None:
    """Say which size to train in a given time, and what each costs to serve here."""
    clock = SystemClock()
    given = None if tflops is None else tflops * 1e12
    hardware = measure_hardware(clock, training_flops=given)
    plans = plan_sizes(hardware, minutes * 60)
    show_plan(plans, optimal_parameters(hardware.training_flops, minutes * 60), console)
    draw_plan(plans, picture)
    console.print(f"the plot is in {picture}")
