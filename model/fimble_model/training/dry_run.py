"""What a run would do, from a few steps of it: tokens a second, and how far the time reaches.

Owns the measuring. Writes nothing; the trainer it is handed is used up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fimble_model.engine.protocol import Clock
from fimble_model.training.pretraining import Trainer

__all__ = ["DryRun", "measure_steps"]

# The first steps compile and warm up.
_N_WARM_UP_STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """`rows_share` is the share of a step's time that waits for rows to be made."""

    n_parameters: int
    tokens_per_s: float
    planned_tokens: float
    rows_share: float
    peak_gpu_bytes: int | None


def measure_steps(trainer: Trainer, clock: Clock, *, n_steps: int) -> DryRun:
    """Take steps and time them, those of the warm-up left out."""
    for _ in range(_N_WARM_UP_STEPS):
        trainer.step()
    started_ms = clock.now_ms()
    for _ in range(n_steps):
        trainer.step()
    step_s = (clock.now_ms() - started_ms) / 1000 / n_steps
    started_ms = clock.now_ms()
    for _ in range(n_steps):
        trainer.next_rows()
    rows_s = (clock.now_ms() - started_ms) / 1000 / n_steps
    settings = trainer.settings
    tokens_per_s = settings.n_rows * settings.row_tokens / step_s
    has_gpu = torch.cuda.is_available()
    return DryRun(
        n_parameters=settings.network.n_parameters,
        tokens_per_s=tokens_per_s,
        planned_tokens=tokens_per_s * settings.time_s,
        rows_share=min(rows_s / step_s, 1.0),
        peak_gpu_bytes=torch.cuda.max_memory_allocated() if has_gpu else None,
    )
