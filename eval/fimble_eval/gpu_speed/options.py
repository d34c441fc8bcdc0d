"""What a run on a GPU was asked for, and each part's share of the time.

Owns the plan: parts, their order, their limits in seconds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LIMITS_S", "GpuOptions"]

# 480 s in all: eight minutes. A part that takes longer is stopped, and said to have failed.
LIMITS_S: Mapping[str, int] = {
    "ceilings": 20,
    "host": 15,
    "tests": 60,
    "stream-0.5b": 30,
    "stream-1.5b": 35,
    "stream-7b": 45,
    "stream-base": 25,
    "stream-1.5b-int8": 35,
    "keystroke": 35,
    "batch": 40,
    "typists": 50,
    "transformers": 30,
    "transformers-batching": 25,
    "speculation": 35,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuOptions:
    """`device` is cuda, or cpu where the run is a rehearsal: tiny networks, figures of no worth.

    `copy_bytes_per_s` is the ceiling measured first; None where that failed. Without `has_graphs`
    every decoding step runs eagerly.
    """

    device: str
    is_rehearsal: bool
    copy_bytes_per_s: float | None = None
    has_graphs: bool = True
