"""Whether drafting pays on this machine with this model, by the milliseconds that tokens take.

Owns two running means and the choice between them. Pure: handed milliseconds. What a guess costs
in Python can outweigh a pass of a very small network; then the fastest way is the plain one.
"""

from __future__ import annotations

__all__ = ["DraftingTrial"]

# Of so many rows one goes the way that seems slower, so that a change is noticed.
_ROWS_A_TRIAL = 16
# The first rows of each way are tried in turns, to have means at all.
_LEAST_ROWS = 4
_WEIGHT_OF_NEWEST = 0.1
# A row that took this many times the mean was interrupted, and says little.
_MOST_SURPRISE = 4.0


class DraftingTrial:
    """Keeps the mean time of a token for rows that draft (True) and rows that do not (False)."""

    def __init__(self) -> None:
        self._token_ms: dict[bool, float] = {}
        self._n_rows = {True: 0, False: 0}
        self._n_asked = 0

    def should_draft(self) -> bool:
        """Which way the next row goes: the faster one, but for a trial now and then."""
        self._n_asked += 1
        if min(self._n_rows.values()) < _LEAST_ROWS:
            return self._n_asked % 2 == 1
        pays = self._token_ms[True] <= self._token_ms[False]
        return pays != (self._n_asked % _ROWS_A_TRIAL == 0)

    def note(self, *, has_drafted: bool, n_tokens: int, ms: float) -> None:
        """Learn from a row whose `n_tokens` after the first took `ms`."""
        if n_tokens < 1 or ms <= 0.0:
            return
        self._n_rows[has_drafted] += 1
        token_ms = ms / n_tokens
        mean_ms = self._token_ms.get(has_drafted, token_ms)
        token_ms = min(token_ms, _MOST_SURPRISE * mean_ms)
        self._token_ms[has_drafted] = mean_ms + _WEIGHT_OF_NEWEST * (token_ms - mean_ms)
