"""Near-duplicate detection: MinHash over 5-gram shingles of words, banded for lookup.

Owns what "nearly the same" means (a Jaccard similarity of about 0.8 and more). Keeps the
signatures of everything added, so one instance serves one corpus.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]  # ships no types

__all__ = ["Hashes", "NearDuplicates", "hash_ngrams", "hash_words"]

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]

_SHINGLE_WORDS = 5
_JACCARD = 0.8
_N_BINS = 64
_BIN_BITS = 6
_WORD = re.compile(r"\w+")
# An odd 64-bit multiplier (the fractional bits of the golden ratio) spreads the words' hashes.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_BIN_STARTS = np.arange(_N_BINS, dtype=np.uint64) << np.uint64(64 - _BIN_BITS)
_NO_PERMUTATIONS = np.zeros((2, _N_BINS), np.uint64)
_BIN_INDICES = np.arange(_N_BINS)


class NearDuplicates:
    """Remembers texts by signature. Invariant: no two remembered texts are near duplicates."""

    def __init__(self) -> None:
        self._index = MinHashLSH(threshold=_JACCARD, num_perm=_N_BINS)
        self._n_added = 0

    def add_if_new(self, text: str) -> bool:
        """Remember `text` unless something nearly the same is remembered already."""
        return self.add_words_if_new(hash_words(text))

    def add_words_if_new(self, words: Hashes) -> bool:
        """The same of a text whose words are hashed already."""
        values = _sign(hash_ngrams(words, _SHINGLE_WORDS))
        # Permutations are named so that none are drawn: the values are a signature already.
        signature = MinHash(hashvalues=values, permutations=_NO_PERMUTATIONS, scheme="legacy")
        if self._index.query(signature):
            return False
        self._index.insert(self._n_added, signature)
        self._n_added += 1
        return True


def _sign(grams: Hashes) -> Hashes:
    """The smallest hash in each of 64 bins: one permutation in place of 64, at a hundredth of
    the time (Li, Owen and Zhang 2012). An empty bin borrows from the next that is not, and adds
    how far away it was (Shrivastava and Li 2014, section 4)."""
    if not len(grams):
        return np.zeros(_N_BINS, np.uint64)
    at = np.searchsorted(grams, _BIN_STARTS)
    is_full = np.append(at[1:], len(grams)) > at
    full = np.flatnonzero(is_full)
    lender = full[np.searchsorted(full, _BIN_INDICES) % len(full)]
    distance = (lender - _BIN_INDICES) % _N_BINS
    return grams[at[lender]] + distance.astype(np.uint64) * _MULTIPLIER


def hash_words(text: str) -> Hashes:
    """A hash for each word of `text`, lower-cased, in their order."""
    words = _WORD.findall(text.lower())
    return np.array([zlib.crc32(word.encode()) for word in words], dtype=np.uint64)


def hash_ngrams(words: Hashes, n_words: int) -> Hashes:
    """Sorted 64-bit hashes of the distinct n-grams of a text's words."""
    n_grams = max(len(words) - n_words + 1, 0)
    hashes = np.zeros(n_grams, dtype=np.uint64)
    for shift in range(n_words):
        hashes = (hashes ^ words[shift : shift + n_grams]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)
