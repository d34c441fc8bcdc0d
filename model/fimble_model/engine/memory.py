"""What the project's texts say: the documents a model may copy from, as tokens.

Owns the documents, their tokens and the byte budget. Never decides what may be remembered
(secret files are the caller's to keep away) nor how much the memory's word weighs. One thread
owns it; a `MemoryView` taken from it never changes.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fimble_model.engine.memory_index import (
    LEAST_ORDER,
    MOST_ORDER,
    Matches,
    Segment,
    build_segment,
    merge_segments,
)
from fimble_model.engine.protocol import TokenId

__all__ = ["DEFAULT_MEMORY_BYTES", "MemoryView", "ProjectMemory", "split_text"]

DEFAULT_MEMORY_BYTES = 96 * 2**20
# Documents that change as the user types, each with an index of its own. Guessed.
_MOST_LIVE = 4
# A line of 8 ends a piece, on average: few enough lines to encode again with every key.
_CUT_MASK = 7
# No file a person writes is longer; a longer one is left out rather than cut.
_MOST_TEXT_CHARS = 1_000_000

_Tokens = NDArray[np.int32]
_Encode = Callable[[str], Sequence[TokenId]]


@dataclass(frozen=True, slots=True)
class MemoryView:
    """The memory as it was at one moment; cheap to take, and it stays as it is."""

    segments: tuple[Segment, ...] = ()

    def find(self, context: Sequence[TokenId]) -> Matches | None:
        """What followed where the context's end has stood before; None where it never has."""
        if len(context) < LEAST_ORDER or not self.segments:
            return None
        # Where the context is short, ids that no token has stand before it.
        last = np.full(MOST_ORDER, -2, np.int32)
        known = context[-MOST_ORDER:]
        last[MOST_ORDER - len(known) :] = known
        found = [segment.find(last) for segment in self.segments]
        next_ids = np.concatenate([matches.next_ids for matches in found])
        n_equal = np.concatenate([matches.n_equal for matches in found])
        is_match = n_equal >= LEAST_ORDER
        return Matches(next_ids[is_match], n_equal[is_match]) if is_match.any() else None


@dataclass(slots=True)
class _Document:
    """A remembered text. `pieces` are the tokens of its parts while it is live, by their text."""

    number: int
    fingerprint: tuple[int, int]
    pieces: dict[str, _Tokens] | None


class ProjectMemory:
    """Documents by key, in the order they were last remembered, and the index over them.

    Keeps the invariant that every document is alive in exactly one segment: its own while it is
    one of the few that change, else in one of the `_settled`, whose sizes at least double from
    the last to the first, so that there are few of them and each token is seldom sorted again.
    """

    def __init__(self, encode: _Encode, budget_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._encode = encode
        self._budget_bytes = budget_bytes
        self._numbers = itertools.count()
        self._documents: dict[str, _Document] = {}
        self._live: dict[str, Segment] = {}
        self._settled: list[Segment] = []

    @property
    def n_bytes(self) -> int:
        """Bytes of the index."""
        return sum(segment.n_bytes for segment in (*self._settled, *self._live.values()))

    @property
    def keys(self) -> tuple[str, ...]:
        """The documents' keys, the one remembered longest ago first."""
        return tuple(self._documents)

    def view(self) -> MemoryView:
        """The memory as it is now, newest documents last."""
        return MemoryView((*self._settled, *self._live.values()))

    def remember(self, key: str, text: str) -> None:
        """Keep a document's text as it is now, in place of what was known of it."""
        known = self._documents.get(key)
        fingerprint = (len(text), hash(text))
        if known and known.fingerprint == fingerprint:
            self._documents[key] = self._documents.pop(key)
            return
        self.forget(key)
        if not text or len(text) > _MOST_TEXT_CHARS:
            return
        pieces = self._encode_pieces(text, (known and known.pieces) or {})
        number = next(self._numbers)
        self._documents[key] = _Document(number, fingerprint, pieces)
        tokens = np.concatenate([pieces[piece] for piece in split_text(text)])
        self._live[key] = build_segment({number: tokens})
        if len(self._live) > _MOST_LIVE:
            self._settle(next(iter(self._live)))
        while self.n_bytes > self._budget_bytes and self._documents:
            self._drop_oldest()

    def forget(self, key: str) -> None:
        """Drop a document. Unknown keys are ignored."""
        document = self._documents.pop(key, None)
        if document is None or self._live.pop(key, None) is not None:
            return
        for index, segment in enumerate(self._settled):
            if document.number in segment.numbers:
                self._settled[index] = segment.without(document.number)

    def _encode_pieces(self, text: str, known: dict[str, _Tokens]) -> dict[str, _Tokens]:
        return {
            piece: known[piece] if piece in known else np.array(self._encode(piece), np.int32)
            for piece in split_text(text)
        }

    def _settle(self, key: str) -> None:
        """Join a document that no longer changes to the others."""
        self._documents[key].pieces = None
        self._settled.append(self._live.pop(key))
        while len(self._settled) > 1 and (
            self._settled[-2].n_tokens < 2 * self._settled[-1].n_tokens
        ):
            self._merge_from(len(self._settled) - 2)

    def _merge_from(self, index: int) -> None:
        merged = merge_segments(self._settled[index:])
        self._settled[index:] = [merged] if merged else []

    def _drop_oldest(self) -> None:
        """Make room, in steps large enough that the arrays are not copied for every document."""
        for key in tuple(self._documents)[: max(1, len(self._documents) // 8)]:
            self.forget(key)
        self._merge_from(0)


def split_text(text: str) -> list[str]:
    r"""Pieces of whole lines, cut where the lines themselves say so.

    A change moves no cut but those at the changed lines, so the other pieces stay as they are.

    >>> "".join(split_text("a = '😀'\n\nb = 2\n")) == "a = '😀'\n\nb = 2\n"
    True
    """
    pieces: list[str] = []
    start = line_start = 0
    is_after_blank = True
    for line in text.split("\n"):
        is_blank = not line.strip()
        is_cut = not zlib.crc32(line.encode("utf-8", "replace")) & _CUT_MASK
        if is_cut and not (is_blank or is_after_blank):
            # The feed goes with the line after it, as in most tokenizers' words.
            pieces.append(text[start : line_start - 1])
            start = line_start - 1
        line_start += len(line) + 1
        is_after_blank = is_blank
    pieces.append(text[start:])
    return pieces
