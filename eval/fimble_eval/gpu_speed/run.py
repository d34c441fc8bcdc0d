"""All parts on a GPU, a process each, within their shares of the time.

Owns the order, the walls around the parts, and the ceiling that later parts are measured against.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fimble_eval.engine_speed.rows import Row
from fimble_eval.engine_speed.run import PartOutcome
from fimble_eval.gpu_speed.options import LIMITS_S, GpuOptions
from fimble_server.errors import FimbleError

__all__ = ["choose_options", "describe_gpu", "run_gpu_parts"]


def choose_options(*, is_rehearsal: bool, has_graphs: bool = True) -> GpuOptions:
    """Where the run takes place. Raises `FimbleError` without a GPU, unless it is a rehearsal."""
    import torch

    if is_rehearsal:
        return GpuOptions(device="cpu", is_rehearsal=True, has_graphs=has_graphs)
    if not torch.cuda.is_available():
        raise FimbleError(
            expected="a CUDA GPU for --gpu",
            found=f"none that torch {torch.__version__} sees",
            to_do="Run it on a machine with one, or add --rehearse to try the command here.",
        )
    return GpuOptions(device="cuda", is_rehearsal=False, has_graphs=has_graphs)


def describe_gpu(options: GpuOptions) -> dict[str, object]:
    """The card and the libraries that compute on it."""
    import importlib.metadata

    import torch

    versions: dict[str, object] = {"torch": torch.__version__}
    for name in ("triton", "xformers", "transformers"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    versions["has_graphs"] = options.has_graphs
    if options.device == "cpu":
        return {"gpu": "none: a rehearsal on the CPU, figures of no worth", **versions}
    card = torch.cuda.get_device_properties(0)
    return {
        "gpu": card.name,
        "gpu_memory_gib": round(card.total_memory / 2**30, 1),
        "compute_capability": f"{card.major}.{card.minor}",
        "n_processors": card.multi_processor_count,
        "cuda": torch.version.cuda,
        **versions,
    }


def run_gpu_parts(
    names: Sequence[str],
    options: GpuOptions,
    *,
    on_part: Callable[[str], None],
    on_outcomes: Callable[[Sequence[PartOutcome]], None] = lambda outcomes: None,
) -> list[PartOutcome]:
    """Run the parts in order. What one of them lacks or breaks stops no other.

    `on_outcomes` is handed all there are after each, so that a run that is killed keeps them.
    """
    outcomes: list[PartOutcome] = []
    for name in names:
        on_part(name)
        outcome = _run(name, options)
        outcomes.append(outcome)
        on_outcomes(outcomes)
        rate = outcome.details.get("copy_bytes_per_s")
        if isinstance(rate, float):
            options = dataclasses.replace(options, copy_bytes_per_s=rate)
    return outcomes


def _run(name: str, options: GpuOptions) -> PartOutcome:
    values = json.dumps(dataclasses.asdict(options))
    command = [sys.executable, "-m", "fimble_eval.gpu_speed.part", name, values]
    limit_s = LIMITS_S[name]
    try:
        finished = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return PartOutcome(name=name, failed=f"took longer than its {limit_s} s")
    lines = finished.stdout.splitlines()
    if finished.returncode or not lines:
        return PartOutcome(name=name, failed=f"its process ended with {finished.returncode}")
    answer: dict[str, Any] = json.loads(lines[-1])
    rows = tuple(Row(**row) for row in answer["rows"])
    return PartOutcome(name=name, rows=rows, details=answer["details"])
