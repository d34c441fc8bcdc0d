"""How large a pass may be on a machine whose memory ran out in one: half of what failed.

Owns that limit and its slow return. Pure: handed counts of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["PassHalving", "halve"]

# Passes that go well before twice as much is tried. Guessed: a few seconds of typing.
_PASSES_TO_TRUST = 256

_T = TypeVar("_T")


def halve(pieces: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    """The first half and the rest; there must be two.

    >>> halve("abc")
    ('a', 'bc')
    """
    assert len(pieces) > 1, "one piece has no halves"
    middle = len(pieces) // 2
    return pieces[:middle], pieces[middle:]


class PassHalving:
    """Keeps the invariant that after a failure no larger pass is tried for a while."""

    def __init__(self) -> None:
        self.n_most_tokens: int | None = None
        self._n_good = 0

    def note_failure(self, n_tokens: int) -> None:
        """A pass of so many tokens found no memory."""
        self.n_most_tokens = max(n_tokens // 2, 1)
        self._n_good = 0

    def split(self, sizes: Sequence[int]) -> list[slice]:
        """Which pieces, given by their tokens, share a pass: in order, as many as go together.

        A piece larger than the limit goes alone.
        """
        if self.n_most_tokens is None:
            return [slice(0, len(sizes))]
        self._n_good += 1
        if self._n_good > _PASSES_TO_TRUST:
            self.n_most_tokens, self._n_good = 2 * self.n_most_tokens, 0
        if sum(sizes) <= self.n_most_tokens:
            return [slice(0, len(sizes))]
        parts: list[slice] = []
        start = n_tokens = 0
        for index, size in enumerate(sizes):
            if index > start and n_tokens + size > self.n_most_tokens:
                parts.append(slice(start, index))
                start, n_tokens = index, 0
            n_tokens += size
        parts.append(slice(start, len(sizes)))
        return parts
