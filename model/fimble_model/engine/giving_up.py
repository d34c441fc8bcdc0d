"""When a row is not worth finishing: what it has is already too unlikely to be shown whole.

Owns the measure of a middle's confidence and the test for hopelessness. Pure: sees
log-probabilities, never rows or text.

Confidence is the probability that all of a text is right: the product of its tokens'
probabilities. It only ever falls, so a row below the threshold can never rise again.
"""

from __future__ import annotations

import math

__all__ = ["bounded_logprob", "is_hopeless"]

_LEAST_LOGPROB = math.log(1e-9)


def bounded_logprob(logprob: float) -> float:
    """A token's log-probability as a number to add up; NaN counts as the least.

    >>> bounded_logprob(-1.0), round(bounded_logprob(-99.0), 2)
    (-1.0, -20.72)
    """
    return _LEAST_LOGPROB if math.isnan(logprob) else min(0.0, max(_LEAST_LOGPROB, logprob))


def is_hopeless(*, sum_logprobs: float, min_confidence: float) -> bool:
    """Whether tokens whose bounded logarithms add up to `sum_logprobs` are below the threshold.

    >>> is_hopeless(sum_logprobs=-9.0, min_confidence=0.4)
    True
    """
    return min_confidence > 0.0 and sum_logprobs < math.log(min_confidence)
