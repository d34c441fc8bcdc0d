"""Near-duplicate detection: MinHash over 5-gram shingles of words, banded for lookup.

Owns what "nearly the same" means (a Jaccard similarity of about 0.8 and more). Keeps the
signatures of everything added, so one instance serves one corpus.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]  # ships no types

__all__ = ["NearDuplicates", "hash_ngrams"]

_SHINGLE_WORDS = 5
_JACCARD = 0.8
_N_PERMUTATIONS = 64
_WORD = re.compile(r"\w+")
# An odd 64-bit multiplier (the fractional bits of the golden ratio) spreads the words' hashes.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class NearDuplicates:
    """Remembers texts by signature. Invariant: no two remembered texts are near duplicates."""

    def __init__(self) -> None:
        self._index = MinHashLSH(threshold=_JACCARD, num_perm=_N_PERMUTATIONS)
        self._n_added = 0

    def add_if_new(self, text: str) -> bool:
        """Remember `text` unless something nearly the same is remembered already."""
        signature = MinHash(num_perm=_N_PERMUTATIONS, hashfunc=_identity)
        # 32 bits, because datasketch's permutations are made for 32-bit hashes.
        signature.update_batch((hash_ngrams(text, _SHINGLE_WORDS) >> np.uint64(32)).tolist())
        if self._index.query(signature):
            return False
        self._index.insert(self._n_added, signature)
        self._n_added += 1
        return True


def _identity(shingle_hash: int) -> int:
    return shingle_hash


def hash_ngrams(text: str, n_words: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Sorted 64-bit hashes of the distinct n-grams of words in `text`, lower-cased."""
    words = _WORD.findall(text.lower())
    crc = np.array([zlib.crc32(word.encode()) for word in words], dtype=np.uint64)
    n_grams = max(len(crc) - n_words + 1, 0)
    hashes = np.zeros(n_grams, dtype=np.uint64)
    for shift in range(n_words):
        hashes = (hashes ^ crc[shift : shift + n_grams]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)
