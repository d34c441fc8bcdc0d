"""How many bytes of tensors were allocated at most, counted and not sampled."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import accumulate
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

__all__ = ["measure_peak_bytes"]


def measure_peak_bytes(call: Callable[[], object], mapped: Collection[Path] = ()) -> int:
    """The most bytes that torch's CPU allocator had given out and not got back during a call.

    Counts this thread's tensors alone. Torch notes a file that is mapped as well; the `mapped` ones
    are left out by their sizes, for their pages are the system's to take back.
    """
    sizes = {path.stat().st_size for path in mapped}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        kept = call()
    del kept
    profiler: Any = recorded.profiler
    events = [each for each in profiler.kineto_results.events() if each.name() == "[memory]"]
    events.sort(key=lambda each: each.start_ns())
    own = [each.nbytes() for each in events if abs(each.nbytes()) not in sizes]
    return max(accumulate(own), default=0)
