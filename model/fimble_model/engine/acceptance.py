"""How often guesses of each kind have been right, as the probability that the next one is.

Owns the counts. Pure; knows a guess only by the name of its kind.
"""

from __future__ import annotations

__all__ = ["Acceptance"]

# Counts above this are halved: texts differ, and what was true an hour ago may be so no more.
_MOST_COUNTS = 400.0
# A kind's first guesses are judged as if so many had been seen before.
_PRIOR_COUNTS = 4.0


class Acceptance:
    """Keeps the invariant that a probability lies between 0 and 1, both excluded."""

    def __init__(self) -> None:
        self._right_and_all: dict[str, list[float]] = {}

    def probability(self, kind: str, prior: float) -> float:
        """How likely a guess of this kind is right; `prior` is the answer before any was seen."""
        found = self._right_and_all.get(kind)
        if found is None:
            return prior
        n_right, n_all = found
        return (n_right + _PRIOR_COUNTS * prior) / (n_all + _PRIOR_COUNTS)

    def note(self, kind: str, *, is_right: bool) -> None:
        """Count a guess whose token is known now."""
        counts = self._right_and_all.setdefault(kind, [0.0, 0.0])
        counts[0] += is_right
        counts[1] += 1.0
        if counts[1] > _MOST_COUNTS:
            counts[0] /= 2
            counts[1] /= 2
