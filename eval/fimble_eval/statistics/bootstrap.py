"""Confidence intervals by resampling, for one result and for the difference of two.

Owns the resampling. What is drawn are groups, not tasks: many tasks of a benchmark come from one
problem or one file and stand or fall together. Pure; the same seed gives the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "mean_interval", "resampled_means"]

_N_RESAMPLES = 10_000
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean, and the range that holds the true one with probability `level`."""

    mean: float
    low: float
    high: float
    level: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference of nothing lies outside."""
        return not self.low <= 0.0 <= self.high


def mean_interval(
    values: Sequence[float],
    groups: Sequence[str],
    *,
    level: float = 0.95,
    n_resamples: int = _N_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean of the values, and its percentile interval over groups drawn with replacement.

    For a comparison of two systems hand in the tasks' differences: the pairing stays whole
    (Efron and Tibshirani 1993, chapters 13 and 8.4).
    """
    means = resampled_means(values, groups, n_resamples=n_resamples, seed=seed)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean=float(np.mean(values)), low=float(low), high=float(high), level=level)


def resampled_means(
    values: Sequence[float], groups: Sequence[str], *, n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """The mean of each resample. A group drawn twice counts twice, with all of its values."""
    if not values:
        raise ValueError("an interval needs at least one value")
    _, group_of = np.unique(np.array(groups), return_inverse=True)
    n_groups = int(group_of.max()) + 1
    sums = np.bincount(group_of, weights=np.array(values, np.float64), minlength=n_groups)
    counts = np.bincount(group_of, minlength=n_groups)
    rng = np.random.default_rng(seed)
    means: list[NDArray[np.float64]] = []
    for start in range(0, n_resamples, _CHUNK):
        n_rows = min(_CHUNK, n_resamples - start)
        drawn = rng.integers(n_groups, size=(n_rows, n_groups))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)
