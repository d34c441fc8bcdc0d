"""How the engine shall use a CUDA card, where it has one. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["GpuWishes"]


class GpuWishes(NamedTuple):
    """`cache_share` is the share of the card's free memory that keys and values may take, above 0
    and at most 1; None leaves it to us. `on_progress` is told the share of the graphs captured.
    """

    cache_share: float | None = None
    has_graphs: bool = True
    on_progress: Callable[[float], None] = lambda share: None
