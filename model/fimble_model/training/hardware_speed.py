"""How fast this machine multiplies and streams: measured in about a second.

Owns the two measurements that `planning` needs. Never decides anything from them.
"""

from __future__ import annotations

import os

import torch

from fimble_model.engine.protocol import Clock
from fimble_model.training.planning import Hardware

__all__ = ["measure_hardware"]

_MATRIX_SIZE = 768
_STREAM_BYTES = 256 << 20
_N_REPEATS = 5
# Attention, norms, the optimiser and the making of rows leave training this share of a bare
# multiplication's speed. Measured once with fimble-nano: 1,900 tokens/s of one core.
_TRAINING_SHARE = 0.4
# The most of a machine's memory that a programmer will give to completion. Guessed.
_SERVING_MEMORY_SHARE = 0.25


def measure_hardware(clock: Clock, *, training_flops: float | None = None) -> Hardware:
    """This machine as server, and as trainer unless `training_flops` names another one."""
    flops = _measure_flops(clock)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Hardware(
        training_flops=flops * _TRAINING_SHARE if training_flops is None else training_flops,
        serving_flops=flops,
        serving_bytes_per_s=_measure_stream(clock),
        serving_bytes=memory * _SERVING_MEMORY_SHARE,
    )


def _measure_flops(clock: Clock) -> float:
    matrix = torch.ones(_MATRIX_SIZE, _MATRIX_SIZE)
    best_s = min(_time(clock, lambda: matrix @ matrix) for _ in range(_N_REPEATS))
    return float(2 * _MATRIX_SIZE**3 / best_s)


def _measure_stream(clock: Clock) -> float:
    data = torch.ones(_STREAM_BYTES // 4)
    best_s = min(_time(clock, data.sum) for _ in range(_N_REPEATS))
    return _STREAM_BYTES / best_s


def _time(clock: Clock, run: object) -> float:
    assert callable(run)
    started_ms = clock.now_ms()
    run()
    return max(clock.now_ms() - started_ms, 1e-3) / 1000
