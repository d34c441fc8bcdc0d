"""Where the last few tokens have stood before: an index over the tokens of some documents.

Owns the arrays and the search. Immutable, so that a row may hold on to it while others change
the memory. Knows token ids and documents' keys, never text or probabilities.

Places lie in buckets by the two tokens before them, and in a bucket by the three before those.
So the places whose context is most like the wanted one lie side by side, and of a pair that
stands nearly everywhere only their neighbourhood is looked at.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fimble_model.network.native.memory import SegmentArrays

__all__ = [
    "LEAST_ORDER",
    "LOWER_PART",
    "MOST_ORDER",
    "N_LEVELS",
    "Levels",
    "Matches",
    "Segment",
    "Tokens",
    "build_segment",
    "folder_of",
    "merge_segments",
    "pack_tokens",
]

LEAST_ORDER = 2
MOST_ORDER = 7
# How near a document is to the row: another folder's, the same folder's, the row's own.
N_LEVELS = 3
_ELSEWHERE, _SAME_FOLDER, _SAME_DOCUMENT = range(N_LEVELS)
_DEAD = -1

# Ends the key of what stands below the cursor in the document of the key before it.
LOWER_PART = "#below"

# Of a pair that stands nearly everywhere no more places than this are looked at.
_MOST_PLACES = 128
# Stands before every document: no context reaches across it, for no token has this id.
_BREAK = -1
_OFFSETS = np.arange(1, MOST_ORDER + 1)
_LEAST_BITS, _MOST_BITS = 6, 20
_BLOCK_PLACES = 1 << 16
_BUCKET_SHIFT = 44
_PART_BITS = 3
_PAIR_MULTIPLIER, _SPREAD = 1 << 16, 0x9E3779B1  # Knuth's, TAOCP 6.4
_WORD = 0xFFFFFFFF
# Bits of the third, fourth and fifth token before a place, under the bucket's 20: 64 in all.
_THIRD, _FOURTH, _FIFTH = 0x7FFF, 0x7FFF, 0x3FFF

Tokens = NDArray[np.int16] | NDArray[np.int32]
# One number a document: how near it is, or `_DEAD`.
Levels = NDArray[np.int8]


class Matches(NamedTuple):
    """The tokens that followed, how many before each are the context's, and in how near a text.

    `levels` are from 0, another folder's document, to `N_LEVELS` - 1, the row's own.
    """

    next_ids: NDArray[np.int32]
    n_equal: NDArray[np.int32]
    levels: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The documents of a segment, in their order. `starts[d]` is where one's break begins."""

    keys: tuple[str, ...] = field(repr=False)
    starts: NDArray[np.int32]
    folder_hashes: NDArray[np.int64]
    indices: dict[str, int] = field(repr=False)

    def levels_for(self, key: str | None) -> Levels:
        """How near each is to a row in the document `key`; a row in none is far from all."""
        if key is None:
            return np.zeros(len(self.keys), np.int8)
        levels: Levels = (self.folder_hashes == _hash_folder(key)).astype(np.int8)
        for part in (key, key + LOWER_PART):
            if part in self.indices:
                levels[self.indices[part]] = _SAME_DOCUMENT
        return levels


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The tokens of documents end to end, and their places sorted by what stands before them.

    `places[offsets[b] : offsets[b + 1]]` are those whose pair before hashes to `b`. Document d
    counts while `is_alive[d]`.
    """

    tokens: Tokens = field(repr=False)
    offsets: NDArray[np.int32] = field(repr=False)
    places: NDArray[np.int32] = field(repr=False)
    documents: Documents = field(repr=False)
    is_alive: NDArray[np.bool_] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """Bytes of the large arrays."""
        return self.tokens.nbytes + self.offsets.nbytes + self.places.nbytes

    @property
    def n_tokens(self) -> int:
        """All tokens, dead documents' and breaks included."""
        return len(self.tokens)

    @cached_property
    def _n_shifted_bits(self) -> int:
        return 32 - (len(self.offsets) - 1).bit_length() + 1

    def find(self, context: NDArray[np.int32], levels: Levels) -> Matches | None:
        """What followed the last `LEAST_ORDER` tokens of `context`, which holds `MOST_ORDER`."""
        bucket = _bucket_of(int(context[-2]), int(context[-1]), self._n_shifted_bits)
        first, end = int(self.offsets[bucket]), int(self.offsets[bucket + 1])
        if first == end:
            return None
        if end - first > _MOST_PLACES:
            first, end = self._narrowed(first, end, context)
        places = self.places[first:end]
        is_different = np.ones((len(places), MOST_ORDER + 1), np.bool_)
        np.not_equal(
            self.tokens[places[:, None] - _OFFSETS], context[::-1], out=is_different[:, :-1]
        )
        n_equal = is_different.argmax(axis=1).astype(np.int32)
        if len(levels) == 1:
            found_levels = np.full(len(places), levels[0], np.int8)
        else:
            found_levels = levels[self.documents.starts.searchsorted(places, "right") - 1]
        return Matches(self.tokens[places].astype(np.int32), n_equal, found_levels)

    def levels_for(self, key: str | None) -> Levels:
        """How near each document is to a row in the document `key`, or that it is dead."""
        levels = self.documents.levels_for(key)
        levels[~self.is_alive] = _DEAD
        return levels

    @cached_property
    def arrays(self) -> SegmentArrays:
        """What the native search needs of it."""
        return SegmentArrays(
            tokens=self.tokens,
            offsets=self.offsets,
            places=self.places,
            starts=self.documents.starts,
            n_shifted_bits=self._n_shifted_bits,
        )

    def tokens_of(self, document_index: int) -> Tokens:
        """One document's tokens without the break before it."""
        starts = self.documents.starts
        start = int(starts[document_index])
        end = len(self.tokens)
        if document_index + 1 < len(starts):
            end = int(starts[document_index + 1])
        return self.tokens[start + MOST_ORDER : end]

    def has(self, key: str) -> bool:
        """Whether a document is alive in it."""
        index = self.documents.indices.get(key)
        return index is not None and bool(self.is_alive[index])

    def marked(self, keys: Sequence[str], *, is_alive: bool) -> Segment:
        """The same with some documents alive or dead. Copies a flag a document, no tokens."""
        flags = self.is_alive.copy()
        flags[[self.documents.indices[key] for key in keys]] = is_alive
        return Segment(
            tokens=self.tokens,
            offsets=self.offsets,
            places=self.places,
            documents=self.documents,
            is_alive=flags,
        )

    def _narrowed(self, first: int, end: int, context: NDArray[np.int32]) -> tuple[int, int]:
        """The part of a bucket around where the context itself would stand in it."""
        fifth, fourth, third = context[-5:-2].tolist()
        wanted = (third & _THIRD, fourth & _FOURTH, fifth & _FIFTH)

        def order_at(index: int) -> tuple[int, int, int]:
            place = self.places[index]
            fifth, fourth, third = self.tokens[place - 5 : place - 2].tolist()
            return third & _THIRD, fourth & _FOURTH, fifth & _FIFTH

        middle = first + bisect_left(range(first, end), wanted, key=order_at)
        first = max(first, min(middle - _MOST_PLACES // 4, end - _MOST_PLACES))
        return first, min(end, first + _MOST_PLACES)


def build_documents(keys: Sequence[str], starts: NDArray[np.int32]) -> Documents:
    """The table of a segment's documents."""
    return Documents(
        keys=tuple(keys),
        starts=starts,
        folder_hashes=np.array([_hash_folder(key) for key in keys], np.int64),
        indices={key: index for index, key in enumerate(keys)},
    )


def build_segment(documents: Mapping[str, Tokens]) -> Segment:
    """The index over some documents' tokens, by their keys."""
    breaks = np.full(MOST_ORDER, _BREAK, np.int16)
    tokens = np.concatenate([part for each in documents.values() for part in (breaks, each)])
    sizes = [MOST_ORDER + len(each) for each in documents.values()]
    starts = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
    is_place = (tokens[2:] != _BREAK) & (tokens[:-2] != _BREAK)
    # Every place stands behind a break, so five tokens stand before it.
    places = np.flatnonzero(is_place).astype(np.int32)
    places += 2
    n_bits = min(max(_LEAST_BITS, len(tokens).bit_length() - 1), _MOST_BITS)
    # The order of 64 bits is built and sorted in parts: at once it would take thrice the room.
    order = np.empty(len(places), np.uint64)
    for start in range(0, len(places), _BLOCK_PLACES):
        block = slice(start, start + _BLOCK_PLACES)
        order[block] = _order_of(tokens, places[block], n_bits)
    places = places[_sorted_by_parts(order, n_bits)]
    order >>= np.uint64(_BUCKET_SHIFT)
    offsets = np.zeros((1 << n_bits) + 1, np.int32)
    np.cumsum(np.bincount(order.view(np.int64), minlength=1 << n_bits), out=offsets[1:])
    return Segment(
        tokens=tokens,
        offsets=offsets,
        places=places,
        documents=build_documents(list(documents), starts),
        is_alive=np.ones(len(sizes), np.bool_),
    )


def _order_of(tokens: Tokens, places: NDArray[np.int32], n_bits: int) -> NDArray[np.uint64]:
    """By what places are sorted: the bucket of the pair before, then the three before those."""
    pairs = _before(tokens, places, 2) * np.uint64(_PAIR_MULTIPLIER) + _before(tokens, places, 1)
    buckets = ((pairs * np.uint64(_SPREAD)) & np.uint64(_WORD)) >> np.uint64(32 - n_bits)
    order = buckets << np.uint64(_BUCKET_SHIFT)
    order |= (_before(tokens, places, 3) & np.uint64(_THIRD)) << np.uint64(29)
    order |= (_before(tokens, places, 4) & np.uint64(_FOURTH)) << np.uint64(14)
    order |= _before(tokens, places, 5) & np.uint64(_FIFTH)
    return order


def _sorted_by_parts(order: NDArray[np.uint64], n_bits: int) -> NDArray[np.int32]:
    """The indices that sort these numbers, those of each range of buckets in turn."""
    sorted_indices = np.empty(len(order), np.int32)
    parts = np.empty(len(order), np.uint8)
    np.right_shift(
        order, np.uint64(_BUCKET_SHIFT + n_bits - _PART_BITS), out=parts, casting="unsafe"
    )
    n_sorted = 0
    for part in range(1 << _PART_BITS):
        indices = np.flatnonzero(parts == part)
        end = n_sorted + len(indices)
        sorted_indices[n_sorted:end] = indices[order[indices].argsort(kind="stable")]
        n_sorted = end
    return sorted_indices


def merge_segments(segments: Sequence[Segment]) -> Segment | None:
    """One segment of all living documents, in their order; None where there are none."""
    documents = {
        key: segment.tokens_of(index)
        for segment in segments
        for index, key in enumerate(segment.documents.keys)
        if segment.is_alive[index]
    }
    return build_segment(documents) if documents else None


def pack_tokens(token_ids: Sequence[int]) -> Tokens:
    """Token ids as an array of two bytes each where they are small enough, else of four."""
    packed = np.array(token_ids, np.int32)
    return packed.astype(np.int16) if len(packed) == 0 or packed.max() < 1 << 15 else packed


def folder_of(key: str) -> str:
    """The part of a document's key that documents of its folder share.

    >>> folder_of("file:///shop/cart.py")
    'file:///shop'
    """
    return key.rpartition("/")[0]


def _before(tokens: Tokens, places: NDArray[np.int32], distance: int) -> NDArray[np.uint64]:
    return tokens[places - distance].astype(np.uint32).astype(np.uint64)


def _bucket_of(before: int, last: int, n_shifted_bits: int) -> int:
    """The same for numbers as `build_segment` computes for arrays."""
    pair = (before & _WORD) * _PAIR_MULTIPLIER + (last & _WORD)
    return ((pair * _SPREAD) & _WORD) >> n_shifted_bits


def _hash_folder(key: str) -> int:
    return zlib.crc32(folder_of(key).encode("utf-8", "replace"))
