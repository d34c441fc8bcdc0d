"""How one cap in bytes is shared out among what an engine holds: weights, keys and values, index.

Owns the split. Pure: handed sizes. What torch and Python hold besides is not the engine's, and no
cap of ours can bound it.
"""

from __future__ import annotations

from typing import NamedTuple

from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.errors import DeviceError

__all__ = ["CardCap", "MemoryShares", "share_out_memory"]

# A prompt must have room to say something. Guessed.
_LEAST_SLOTS = 256
# What the project's index may take of what the weights leave.
_INDEX_SHARE = 0.25


class MemoryShares(NamedTuple):
    """Bytes for keys and values, and for the project memory's index."""

    cache_bytes: int
    index_bytes: int


class CardCap(NamedTuple):
    """Most bytes that a card may hold for us, None for no cap; and what of it the weights take."""

    cap_bytes: int | None
    weight_bytes: int


def share_out_memory(
    cap_bytes: int | None,
    wanted: MemoryShares,
    *,
    weight_bytes: int,
    page_bytes: int,
) -> MemoryShares:
    """What of the wanted bytes fits under the cap beside the weights; all of it without a cap.

    Where the weights leave little there are fewer pages, so prompts are read again sooner and at
    last get shorter. Raises `DeviceError` where not even the shortest prompt would have room.

    >>> share_out_memory(100_000, MemoryShares(90_000, 40_000), weight_bytes=20_000, page_bytes=500)
    MemoryShares(cache_bytes=60000, index_bytes=20000)
    """
    if cap_bytes is None:
        return wanted
    left_bytes = cap_bytes - weight_bytes
    least_bytes = _LEAST_SLOTS // PAGE_SLOTS * page_bytes
    if left_bytes < least_bytes:
        raise DeviceError(
            expected=f"a memory cap of at least {_to_mib(weight_bytes + least_bytes)} MiB for "
            "this model's weights and one short prompt",
            found=f"{cap_bytes // 2**20} MiB",
            to_do="Raise model.memory_mib, leave it out, or choose a smaller model.",
        )
    index_bytes = min(wanted.index_bytes, int(_INDEX_SHARE * left_bytes))
    index_bytes = min(index_bytes, left_bytes - least_bytes)
    return MemoryShares(min(wanted.cache_bytes, left_bytes - index_bytes), index_bytes)


def _to_mib(n_bytes: int) -> int:
    return -(-n_bytes // 2**20)
