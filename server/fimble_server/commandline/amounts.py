"""Sizes and waits in the words of a terminal.

Owns these words. Pure.
"""

from __future__ import annotations

__all__ = ["words_of_size", "words_of_time"]

_SECOND_MS = 1000.0
_LARGE_BYTES = 2**27


def words_of_size(n_bytes: int) -> str:
    """Bytes, in the unit that fits.

    >>> words_of_size(5 * 2**20), words_of_size(3 * 2**29)
    ('5.0 MiB', '1.50 GiB')
    """
    if n_bytes > _LARGE_BYTES:
        return f"{n_bytes / 2**30:.2f} GiB"
    return f"{n_bytes / 2**20:.1f} MiB"


def words_of_time(wait_ms: float) -> str:
    """A wait, in the unit that fits.

    >>> words_of_time(93.4), words_of_time(1263.0), words_of_time(0.2)
    ('93 ms', '1.3 s', '1 ms')
    """
    if wait_ms < _SECOND_MS:
        return f"{max(wait_ms, 1):.0f} ms"
    return f"{wait_ms / _SECOND_MS:.1f} s"
