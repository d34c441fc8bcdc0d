"""Where the last few tokens have stood before: an index over the tokens of some documents.

Owns the arrays and the search. Immutable, so that a row may hold on to it while others change
the memory. Knows token ids and document numbers, never text, keys or probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_ORDER", "MOST_ORDER", "Matches", "Segment", "build_segment", "merge_segments"]

LEAST_ORDER = 2
MOST_ORDER = 7

# The newest places are looked at, of a context that stands nearly everywhere not all.
_MOST_PLACES = 256
# Stands before every document: no context reaches across it, for no token has this id.
_BREAK = -1
_OFFSETS = np.arange(1, MOST_ORDER + 1)
_LEAST_MULTIPLIER = 1 << 16

_Tokens = NDArray[np.int32]


class Matches(NamedTuple):
    """The tokens that followed, and how many tokens before each are those of the context."""

    next_ids: NDArray[np.int32]
    n_equal: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The tokens of documents end to end, and their places in the order of the two before.

    `places[i]` is where a token stands whose two tokens before hash to `pairs[i]`. Document
    `numbers[d]` fills `[starts[d], starts[d + 1])`; its tokens count while `is_alive[d]`.
    """

    tokens: _Tokens
    pairs: NDArray[np.uint32]
    places: NDArray[np.int32]
    starts: NDArray[np.int32]
    numbers: tuple[int, ...]
    is_alive: NDArray[np.bool_] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """Bytes of the large arrays."""
        return self.tokens.nbytes + self.pairs.nbytes + self.places.nbytes

    @property
    def n_tokens(self) -> int:
        """All tokens, dead documents' and breaks included."""
        return len(self.tokens)

    def find(self, context: _Tokens) -> Matches:
        """What followed the last `LEAST_ORDER` tokens of `context`, which holds `MOST_ORDER`."""
        wanted = np.uint32(_hash_pair(int(context[-2]), int(context[-1])))
        first, end = (int(self.pairs.searchsorted(wanted, side)) for side in ("left", "right"))
        places = self.places[max(first, end - _MOST_PLACES) : end]
        if not self.is_alive.all() and len(places):
            places = places[self.is_alive[self.starts.searchsorted(places, "right") - 1]]
        is_equal = self.tokens[places[:, None] - _OFFSETS] == context[::-1]
        n_equal = np.logical_and.accumulate(is_equal, axis=1).sum(axis=1)
        return Matches(self.tokens[places], n_equal)

    def tokens_of(self, document_index: int) -> _Tokens:
        """One document's tokens without the break before it."""
        start = int(self.starts[document_index])
        ends = (*self.starts[1:].tolist(), len(self.tokens))
        return self.tokens[start + MOST_ORDER : ends[document_index]]

    def without(self, number: int) -> Segment:
        """The same with one document dead. Copies a flag a document, no tokens."""
        is_alive = self.is_alive.copy()
        is_alive[self.numbers.index(number)] = False
        return Segment(
            tokens=self.tokens,
            pairs=self.pairs,
            places=self.places,
            starts=self.starts,
            numbers=self.numbers,
            is_alive=is_alive,
        )


def build_segment(documents: Mapping[int, _Tokens]) -> Segment:
    """The index over some documents' tokens, by their numbers; later ones count as newer."""
    breaks = np.full(MOST_ORDER, _BREAK, np.int32)
    tokens = np.concatenate([part for each in documents.values() for part in (breaks, each)])
    sizes = [MOST_ORDER + len(each) for each in documents.values()]
    starts = np.cumsum([0, *sizes[:-1]])
    before, last = tokens[:-2].astype(np.uint32), tokens[1:-1].astype(np.uint32)
    pairs = before * np.uint32(_LEAST_MULTIPLIER) + last
    is_place = (tokens[2:] != _BREAK) & (tokens[:-2] != _BREAK)
    places = np.flatnonzero(is_place)
    pairs = pairs[places]
    order = pairs.argsort(kind="stable")
    return Segment(
        tokens=tokens,
        pairs=pairs[order],
        places=(places[order] + 2).astype(np.int32),
        starts=starts.astype(np.int32),
        numbers=tuple(documents),
        is_alive=np.ones(len(sizes), np.bool_),
    )


def merge_segments(segments: Sequence[Segment]) -> Segment | None:
    """One segment of all living documents, in their order; None where there are none."""
    documents = {
        number: segment.tokens_of(index)
        for segment in segments
        for index, number in enumerate(segment.numbers)
        if segment.is_alive[index]
    }
    return build_segment(documents) if documents else None


def _hash_pair(before: int, last: int) -> int:
    """Equal for equal pairs; others that share it are told apart by the tokens themselves."""
    return (before * _LEAST_MULTIPLIER + last) & 0xFFFFFFFF
