"""The machine's own clock, for whoever is not handed another. Owns nothing else."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Implements `Clock` with the performance counter."""

    def now_ms(self) -> float:
        """Milliseconds since an arbitrary start."""
        return time.perf_counter() * 1000.0
