"""When a row is not worth finishing: its tokens are so unlikely that it would not be shown.

Owns the measure of a middle's confidence and the test for hopelessness. Pure: sees
log-probabilities, never rows or text.
"""

from __future__ import annotations

import math

__all__ = ["N_SURE_TOKENS_GRANTED", "bounded_logprob", "is_hopeless"]

# Measured on typing in held-out files: with 4 half of all tokens need not be decoded and no
# suggestion is lost; with 8 it is a tenth. With 2 one doubtful token at the start ends a row.
N_SURE_TOKENS_GRANTED = 4

# One token of which the model thought nothing should not outweigh a long sure middle.
_LEAST_LOGPROB = math.log(1e-4)


def bounded_logprob(logprob: float) -> float:
    """A token's log-probability as far as it counts for confidence; NaN counts as the least.

    >>> bounded_logprob(-1.0), round(bounded_logprob(-99.0), 2)
    (-1.0, -9.21)
    """
    return _LEAST_LOGPROB if math.isnan(logprob) else min(0.0, max(_LEAST_LOGPROB, logprob))


def is_hopeless(
    *, sum_logprobs: float, n_tokens: int, n_tokens_left: int, min_confidence: float
) -> bool:
    """Whether the next tokens cannot lift the mean probability to `min_confidence`.

    The mean is geometric, and `sum_logprobs` adds up the bounded logarithms of `n_tokens`. At
    best the next `N_SURE_TOKENS_GRANTED` are certain, or as many as the row may still get.

    >>> is_hopeless(sum_logprobs=-9.0, n_tokens=1, n_tokens_left=63, min_confidence=0.4)
    True
    """
    if min_confidence <= 0.0:
        return False
    n_at_best = n_tokens + min(N_SURE_TOKENS_GRANTED, n_tokens_left)
    return sum_logprobs < n_at_best * math.log(min_confidence)
