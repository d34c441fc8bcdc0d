"""Old indices thrown away: projects that nobody opened for long, then the oldest of too many.

Owns the bounds and the order. What is thrown away can be made again, so nobody is asked; an
index that a process works at is left alone. Reads the disk: for the index's own process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimble_server.context.indexing import INDEX_FOLDER, USED_NAME, try_lock

__all__ = ["KeptIndex", "choose_stale", "clear_stale"]

_DAY_S = 86_400.0
# Guessed: after so long a project is as good as new, and so much disk nobody misses.
MOST_AGE_S = 60 * _DAY_S
MOST_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIndex:
    """One project's folder in the cache, when it was last opened, and how large it is."""

    folder: Path
    used_at_s: float
    n_bytes: int


def choose_stale(
    indices: Iterable[KeptIndex],
    *,
    now_s: float,
    most_age_s: float = MOST_AGE_S,
    most_bytes: int = MOST_BYTES,
) -> list[Path]:
    """The folders to throw away: those too old, then the least recently used beyond the size."""
    stale: list[Path] = []
    n_bytes = 0
    for index in sorted(indices, key=lambda index: -index.used_at_s):
        n_bytes += index.n_bytes
        if now_s - index.used_at_s > most_age_s or n_bytes > most_bytes:
            stale.append(index.folder)
            n_bytes -= index.n_bytes
    return stale


def clear_stale(cache: Path, *, keep: Sequence[Path], now_s: float) -> int:
    """Throw away what is stale in the user's cache, but nothing of `keep`; how many went."""
    indices = [index for index in _read_indices(cache) if index.folder not in keep]
    n_cleared = 0
    for folder in choose_stale(indices, now_s=now_s):
        lock = try_lock(folder / "lock.sqlite")
        if lock is not None:
            lock.close()
            shutil.rmtree(folder, ignore_errors=True)
            n_cleared += 1
    for other in cache.glob("index-*"):
        if other.name != INDEX_FOLDER and other.is_dir():  # Of another version: of no use here.
            shutil.rmtree(other, ignore_errors=True)
            n_cleared += 1
    return n_cleared


def _read_indices(cache: Path) -> Iterator[KeptIndex]:
    folders = [path for path in (cache / INDEX_FOLDER).glob("*") if path.is_dir()]
    for folder in folders:
        try:
            used = folder / USED_NAME
            used_at_s = (used if used.exists() else folder).stat().st_mtime
            n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        except OSError:  # Another process is at it.
            continue
        yield KeptIndex(folder=folder, used_at_s=used_at_s, n_bytes=n_bytes)
