"""What the card can do at most: bytes a second of a copy, operations a second of a product."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from fimble_eval.engine_speed.rows import PartResult, Row
from fimble_eval.gpu_speed.options import GpuOptions

__all__ = ["measure_gpu_ceilings"]

_N_TIMES = 10


def measure_gpu_ceilings(options: GpuOptions) -> PartResult:
    """A copy of 2 GiB, bytes read and written both counted, and a square product of 8192."""
    n_bytes, width = (2**22, 128) if options.is_rehearsal else (2**31, 8192)
    numbers = torch.float32 if options.device == "cpu" else torch.bfloat16
    source = torch.ones(n_bytes, dtype=torch.uint8, device=options.device)
    target = torch.empty_like(source)
    left = torch.rand(width, width, device=options.device).to(numbers)
    copy_s = _best_s(lambda: target.copy_(source), options.device)
    product_s = _best_s(lambda: left @ left, options.device)
    copy_rate, product_rate = 2 * n_bytes / copy_s, 2 * width**3 / product_s
    return PartResult(
        rows=(
            _row("copy within the card's memory, read and written", "GB/s", copy_rate / 1e9),
            _row(f"product of {numbers}".replace("torch.", ""), "Tflop/s", product_rate / 1e12),
        ),
        details={"copy_bytes_per_s": copy_rate, "flops_per_s": product_rate},
    )


def _row(measure: str, unit: str, value: float) -> Row:
    return Row(
        measure=measure,
        unit=unit,
        ours=round(value, 2),
        other=None,
        other_name="",
        merit=None,
        merit_words="",
        target=None,
    )


def _best_s(work: Callable[[], object], device: str) -> float:
    times_s = []
    for _ in range(_N_TIMES):
        if device != "cpu":
            torch.cuda.synchronize()
        started_s = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)
