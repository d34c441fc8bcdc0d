"""What the process and its model hold in memory, as `fimble/status` says it. Owns those names."""

from __future__ import annotations

import os
from pathlib import Path

from fimble_model.engine.protocol import EngineHoldings

__all__ = ["describe_memory", "try_resident_bytes"]

_STATM = Path("/proc/self/statm")


def describe_memory(holdings: EngineHoldings) -> dict[str, int | None]:
    """Bytes, JSON-ready. `resident` is the whole process's, null where the system does not say."""
    return {
        "resident_bytes": try_resident_bytes(),
        "weight_bytes": holdings.weight_bytes,
        "cache_bytes": holdings.cache_bytes,
        "cache_limit_bytes": holdings.cache_limit_bytes,
    }


def try_resident_bytes() -> int | None:
    """Bytes of this process in the machine's memory; None outside Linux. Reads no disk."""
    try:
        n_pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return n_pages * os.sysconf("SC_PAGE_SIZE")
