"""What this machine can do for a model: memory that is free, and how fast memory is read.

Owns the measuring. Takes a fifth of a second and 128 MiB; for the terminal's verbs only.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fimble_model.memory_need import find_free_bytes
from fimble_model.store.memory import total_memory_bytes
from fimble_model.store.reckoning import Machine

__all__ = ["measure_machine"]

_READ_BYTES = 128 * 2**20
_N_READS = 3


def measure_machine() -> Machine:
    """Free memory now, and the best of a few reads of a large array by all cores."""
    # Where the system tells nothing, nothing is called too large.
    free_bytes = find_free_bytes() or total_memory_bytes() or sys.maxsize
    return Machine(free_bytes=free_bytes, bandwidth_bytes_s=_bandwidth_bytes_s())


def _bandwidth_bytes_s() -> float:
    n_threads = max(1, min(os.cpu_count() or 1, 8))
    parts = np.array_split(np.ones(_READ_BYTES // 8, dtype=np.int64), n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        times_s = []
        for _ in range(_N_READS):
            started_s = time.perf_counter()
            list(pool.map(np.sum, parts))
            times_s.append(time.perf_counter() - started_s)
    return _READ_BYTES / min(times_s)
