"""What the project's texts say: the documents a model may copy from, as tokens.

Owns the documents, their tokens and the byte budget. Never decides what may be remembered
(secret files are the caller's to keep away) nor how much the memory's word weighs. One thread
owns it; a `MemoryView` taken from it never changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from fimble_model.engine.memory_index import (
    LEAST_ORDER,
    MOST_ORDER,
    Matches,
    Segment,
    Tokens,
    build_segment,
    merge_segments,
    pack_tokens,
)
from fimble_model.engine.protocol import TokenId
from fimble_model.network.native.memory import Finder, Seen, try_finder

__all__ = ["DEFAULT_MEMORY_BYTES", "MemoryView", "ProjectMemory", "split_text"]

# Under a hundred million bytes.
DEFAULT_MEMORY_BYTES = 95 * 2**20
# Documents that change as the user types, each with an index of its own. Guessed.
_MOST_LIVE = 4
# A line of 8 ends a piece, on average: few enough lines to encode again with every key.
_CUT_MASK = 7
# The rest is for what the user has open.
_STORED_SHARE = 0.9
# No file a person writes is longer; a longer one is left out rather than cut.
_MOST_TEXT_CHARS = 1_000_000

_Encode = Callable[[str], Sequence[TokenId]]


class MemoryView:
    """The memory as it was at one moment, for rows in one document; it stays as it is.

    It searches by the native library where that was built, else by NumPy: both find the same.
    """

    def __init__(
        self,
        segments: Sequence[Segment] = (),
        key: str | None = None,
        *,
        may_be_native: bool = True,
    ) -> None:
        self.segments = tuple(segments)
        self._levels = tuple(segment.levels_for(key) for segment in segments)
        self._may_be_native = may_be_native

    def find(self, context: Sequence[TokenId]) -> Matches | None:
        """What followed where the context's end has stood before; None where it never has."""
        if len(context) < LEAST_ORDER:
            return None
        # Where the context is short, ids that no token has stand before it.
        last = np.full(MOST_ORDER, -2, np.int32)
        known = context[-MOST_ORDER:]
        last[MOST_ORDER - len(known) :] = known
        if self._finder is not None:
            native = self._finder.find(last)
            return None if native is None else Matches(*native)
        return self._find_by_numpy(last)

    @cached_property
    def _finder(self) -> Finder | None:
        if not self._may_be_native:
            return None
        return try_finder(
            [
                Seen(segment.arrays, levels)
                for segment, levels in zip(self.segments, self._levels, strict=True)
            ]
        )

    def _find_by_numpy(self, last: NDArray[np.int32]) -> Matches | None:
        found = map(Segment.find, self.segments, repeat(last), self._levels)
        parts = [matches for matches in found if matches is not None]
        if not parts:
            return None
        next_ids, n_equal, levels = (
            parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        )
        is_match = (n_equal >= LEAST_ORDER) & (levels >= 0)
        matches = Matches(next_ids[is_match], n_equal[is_match], levels[is_match])
        return matches if len(matches.next_ids) else None


@dataclass(slots=True)
class _Document:
    """A remembered text. `pieces` are the tokens of its parts while it is live, by their text."""

    fingerprint: tuple[int, int]
    pieces: dict[str, Tokens] | None


class ProjectMemory:
    """Documents by key, in the order they were last remembered, and the index over them.

    Keeps the invariant that every document is alive in exactly one segment: its own while it is
    one of the few that change, else in one of the `_settled`, whose sizes at least double from
    the last to the first, so that there are few of them and each token is seldom sorted again;
    or in one of the `_stored`, which were built elsewhere and hold what was not remembered here.
    """

    def __init__(self, encode: _Encode, budget_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._encode = encode
        self._budget_bytes = budget_bytes
        self._documents: dict[str, _Document] = {}
        self._live: dict[str, Segment] = {}
        self._settled: list[Segment] = []
        self._stored: list[Segment] = []

    @property
    def n_bytes(self) -> int:
        """Bytes of the index."""
        all_segments = (*self._stored, *self._settled, *self._live.values())
        return sum(segment.n_bytes for segment in all_segments)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the documents remembered here, the one remembered longest ago first."""
        return tuple(self._documents)

    def view(self, key: str | None = None) -> MemoryView:
        """The memory as it is now, to a row in the document `key`."""
        return MemoryView((*self._stored, *self._settled, *self._live.values()), key)

    def remember(self, key: str, text: str) -> None:
        """Keep a document's text as it is now, in place of what was known of it."""
        known = self._documents.get(key)
        fingerprint = (len(text), hash(text))
        if known and known.fingerprint == fingerprint:
            self._documents[key] = self._documents.pop(key)
            return
        self._drop(key)
        self._mark_stored(key, is_alive=False)
        pieces: dict[str, Tokens] | None = None
        if text and len(text) <= _MOST_TEXT_CHARS:
            pieces = self._encode_pieces(text, (known and known.pieces) or {})
            tokens = np.concatenate([pieces[piece] for piece in split_text(text)])
            self._live[key] = build_segment({key: tokens})
        # Remembered even where it is empty: a stored text of that name is out of date.
        self._documents[key] = _Document(fingerprint, pieces)
        if len(self._live) > _MOST_LIVE:
            self._settle(next(iter(self._live)))
        while self.n_bytes > self._budget_bytes and self._documents:
            self._drop_oldest()

    def forget(self, key: str) -> None:
        """Drop what was remembered of a document; a stored text of it counts again."""
        self._drop(key)
        self._mark_stored(key, is_alive=True)

    def take_stored(self, segments: Sequence[Segment]) -> None:
        """Have these segments at hand in place of those stored before, the newest last.

        Of a document in several of them the newest text counts, and none that is remembered.
        The oldest are left out where all are too many for their share of the budget.
        """
        taken: list[Segment] = []
        known, n_bytes = set(self._documents), 0
        for segment in reversed(segments):
            n_bytes += segment.n_bytes
            if n_bytes > _STORED_SHARE * self._budget_bytes:
                break
            outdated = [key for key in segment.documents.keys if key in known]
            taken.append(segment.marked(outdated, is_alive=False) if outdated else segment)
            known.update(segment.documents.keys)
        self._stored = taken[::-1]
        while self.n_bytes > self._budget_bytes and self._documents:
            self._drop_oldest()

    def _drop(self, key: str) -> None:
        document = self._documents.pop(key, None)
        if document is None or self._live.pop(key, None) is not None:
            return
        for index, segment in enumerate(self._settled):
            if segment.has(key):
                self._settled[index] = segment.marked([key], is_alive=False)

    def _mark_stored(self, key: str, *, is_alive: bool) -> None:
        """Mark a document's newest stored text."""
        for index in range(len(self._stored) - 1, -1, -1):
            segment = self._stored[index]
            if key in segment.documents.indices:
                if segment.has(key) is not is_alive:
                    self._stored[index] = segment.marked([key], is_alive=is_alive)
                return

    def _encode_pieces(self, text: str, known: dict[str, Tokens]) -> dict[str, Tokens]:
        return {
            piece: known[piece] if piece in known else pack_tokens(self._encode(piece))
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
