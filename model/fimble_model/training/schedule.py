"""How high the learning rates stand at a moment of the training time.

Owns the shape: a short way up, a plateau, a straight line down to zero. Pure; time comes in as
the share of the training time that has passed, so a slow machine gets a whole schedule too.
"""

from __future__ import annotations

__all__ = ["AVERAGING_STARTS_AT", "rate_scale_at"]

_WARM_UP_UNTIL = 0.01
_FALL_FROM = 0.6
# The weights of the last tenth are averaged.
AVERAGING_STARTS_AT = 0.9


def rate_scale_at(share: float) -> float:
    """What the full learning rates are multiplied by after `share` of the time.

    >>> rate_scale_at(0.3), rate_scale_at(0.8), rate_scale_at(1.0)
    (1.0, 0.5, 0.0)
    """
    if share < _WARM_UP_UNTIL:
        return max(share, 0.0) / _WARM_UP_UNTIL
    if share < _FALL_FROM:
        return 1.0
    return round(max(1.0 - share, 0.0) / (1.0 - _FALL_FROM), 6)
