"""pass@k without bias.

Owns one formula. Pure.
"""

from __future__ import annotations

import math

__all__ = ["pass_at_k"]


def pass_at_k(*, n_samples: int, n_passed: int, k: int) -> float:
    """The probability that one of `k` samples passes, from `n_samples` that were tried.

    1 - C(n - c, k) / C(n, k), without bias for any k up to n (Chen et al. 2021, equation 1).
    Raises `ValueError` where fewer than `k` were tried.

    >>> pass_at_k(n_samples=4, n_passed=1, k=2)
    0.5
    """
    if not 1 <= k <= n_samples:
        raise ValueError(f"pass@{k} needs at least {k} samples, not {n_samples}")
    return 1.0 - math.comb(n_samples - n_passed, k) / math.comb(n_samples, k)
