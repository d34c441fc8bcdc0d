"""Which model would suit a machine, of those whose need and speed are reckoned.

Owns the judgement. Pure. The wait that counts is for a whole line: it is what ghost text shows,
and longer than the deadline while typing (400 ms by default) it would come too late.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from fimble_model.store.reckoning import Reckoning

__all__ = ["Verdict", "judge"]

_DEADLINE_MS = 400.0


class Verdict(enum.Enum):
    """What to think of a model on this machine, in the words that a list shows."""

    RECOMMENDED = "recommended"
    SUITS = "suits"
    SLOW = "slow"
    TOO_LARGE = "too large"


def judge(reckonings: Sequence[Reckoning]) -> tuple[Verdict, ...]:
    """A verdict for each: recommended is the largest that fits and is fast enough.

    >>> small = Reckoning(needed_bytes=1, fits=True, first_token_ms=9.0, line_ms=90.0)
    >>> large = Reckoning(needed_bytes=2, fits=True, first_token_ms=30.0, line_ms=300.0)
    >>> slow = Reckoning(needed_bytes=3, fits=True, first_token_ms=90.0, line_ms=900.0)
    >>> [verdict.value for verdict in judge([small, large, slow])]
    ['suits', 'recommended', 'slow']
    """
    plain = [_judge_alone(each) for each in reckonings]
    suiting = [i for i, verdict in enumerate(plain) if verdict is Verdict.SUITS]
    if suiting:
        plain[max(suiting, key=lambda i: reckonings[i].needed_bytes)] = Verdict.RECOMMENDED
    return tuple(plain)


def _judge_alone(reckoning: Reckoning) -> Verdict:
    if not reckoning.fits:
        return Verdict.TOO_LARGE
    return Verdict.SUITS if reckoning.line_ms <= _DEADLINE_MS else Verdict.SLOW
