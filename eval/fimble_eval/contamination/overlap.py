"""A task's words looked up in a corpus: stretches that are the same, and texts that are nearly.

Owns the measures. A task is touched where one of its stretches of 13 words stands in the corpus
(Brown et al. 2020, appendix C), or where some place of a document about as long as the task
holds half of its stretches of 5: names changed and lines moved, it is found all the same. Words
are letters, digits and underscores, in lower case. Nothing is sampled; all is looked up.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Finding", "Overlaps", "hash_stretches"]

_LONG, _SHORT = 13, 5
_NEAR_SHARE = 0.5
_WORD = re.compile(r"\w+")
# An odd 64-bit multiplier (the fractional bits of the golden ratio) spreads the words' hashes.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Hashes = NDArray[np.uint64]


@dataclass(slots=True, kw_only=True)
class Finding:
    """What of a task was found; `near_share` is of the best place, which `near_document` has."""

    n_stretches: int
    n_found: int = 0
    near_share: float = 0.0
    near_document: str = ""

    @property
    def found_share(self) -> float:
        """The share of the task's 13-word stretches that stand in the corpus."""
        return self.n_found / self.n_stretches if self.n_stretches else 0.0

    @property
    def is_touched(self) -> bool:
        """Whether a score on this task may come from having seen it."""
        return self.n_found > 0 or self.near_share >= _NEAR_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Sorted distinct hashes of a task's stretches. `n_words` is its length."""

    n_words: int
    long: _Hashes = field(repr=False)
    short: _Hashes = field(repr=False)


class Overlaps:
    """Tasks by name, and what the documents looked at so far have of them.

    Keeps the invariant that a document that holds none of the tasks' stretches costs no more
    than one look-up of its own.
    """

    def __init__(self, tasks: Mapping[str, str]) -> None:
        self._tasks = {
            name: _Task(
                n_words=len(_WORD.findall(text)),
                long=np.unique(hash_stretches(text, _LONG)),
                short=np.unique(hash_stretches(text, _SHORT)),
            )
            for name, text in tasks.items()
        }
        self._all_long = _union(task.long for task in self._tasks.values())
        self._all_short = _union(task.short for task in self._tasks.values())
        self._found: set[int] = set()
        self.findings = {
            name: Finding(n_stretches=len(task.long)) for name, task in self._tasks.items()
        }

    def look_at(self, name: str, text: str) -> None:
        """Look every task up in a document."""
        long = hash_stretches(text, _LONG)
        fresh = set(long[_is_among(long, self._all_long)].tolist()) - self._found
        if fresh:
            self._found |= fresh
            for task_name, task in self._tasks.items():
                found = np.isin(task.long, np.fromiter(fresh, np.uint64, len(fresh)))
                self.findings[task_name].n_found += int(found.sum())
        short = hash_stretches(text, _SHORT)
        places = np.flatnonzero(_is_among(short, self._all_short))
        if len(places):
            self._note_near(name, short, places)

    def _note_near(self, name: str, short: _Hashes, places: NDArray[np.intp]) -> None:
        hits = short[places]
        for task_name, task in self._tasks.items():
            finding = self.findings[task_name]
            if not len(task.short):
                continue
            is_own = _is_among(hits, task.short)
            if is_own.sum() <= finding.near_share * len(task.short):
                continue
            n_best = _most_distinct(places[is_own], hits[is_own], task.n_words)
            if n_best > finding.near_share * len(task.short):
                finding.near_share = n_best / len(task.short)
                finding.near_document = name


def hash_stretches(text: str, n_words: int) -> _Hashes:
    """A 64-bit hash of every stretch of so many words, in the text's order."""
    words = _WORD.findall(text.lower())
    codes = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], np.uint64)
    n_stretches = max(len(codes) - n_words + 1, 0)
    hashes = np.zeros(n_stretches, np.uint64)
    for shift in range(n_words):
        hashes = (hashes ^ codes[shift : shift + n_stretches]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _union(parts: Iterable[_Hashes]) -> _Hashes:
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))


def _is_among(hashes: _Hashes, known: _Hashes) -> NDArray[np.bool_]:
    """Which of the hashes are in a sorted array."""
    if not len(known):
        return np.zeros(len(hashes), np.bool_)
    places = np.searchsorted(known, hashes).clip(max=len(known) - 1)
    return np.asarray(known[places] == hashes, np.bool_)


def _most_distinct(places: NDArray[np.intp], hashes: _Hashes, n_words: int) -> int:
    """The most distinct hashes in any stretch of the document of `n_words` words."""
    counts: dict[int, int] = {}
    best = start = 0
    for end, value in enumerate(hashes.tolist()):
        counts[value] = counts.get(value, 0) + 1
        while places[end] - places[start] >= n_words:
            first = int(hashes[start])
            counts[first] -= 1
            if not counts[first]:
                del counts[first]
            start += 1
        best = max(best, len(counts))
    return best
