"""Estimates are without bias, and intervals hold the truth about as often as they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.statistics.bootstrap import mean_interval
from fimble_eval.statistics.estimators import pass_at_k


@given(st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(data: st.DataObject) -> None:
    n_samples = data.draw(st.integers(1, 8))
    n_passed = data.draw(st.integers(0, n_samples))
    k = data.draw(st.integers(1, n_samples))
    draws = list(itertools.combinations([True] * n_passed + [False] * (n_samples - n_passed), k))
    share = sum(any(draw) for draw in draws) / len(draws)
    assert pass_at_k(n_samples=n_samples, n_passed=n_passed, k=k) == pytest.approx(share)


@pytest.mark.parametrize("k", [0, 4])
def test_more_draws_than_samples_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="needs at least"):
        pass_at_k(n_samples=3, n_passed=1, k=k)


def _coverage(*, by_group: bool) -> float:
    """How often the 95 % interval holds the true mean of tasks that share their group's luck."""
    rng = np.random.default_rng(1)
    true_mean, n_covered, n_trials = 0.3, 0, 300
    for trial in range(n_trials):
        luck = rng.normal(true_mean, 0.3, size=40).repeat(8)
        values = (luck + rng.normal(0.0, 0.1, size=luck.size)).tolist()
        groups = [str(index // 8) if by_group else str(index) for index in range(len(values))]
        interval = mean_interval(values, groups, n_resamples=400, seed=trial)
        n_covered += interval.low <= true_mean <= interval.high
    return n_covered / n_trials


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    assert 0.90 <= _coverage(by_group=True) <= 0.98


def test_tasks_that_share_a_group_are_not_taken_for_independent() -> None:
    """Had it resampled tasks, the interval would be far too narrow."""
    assert _coverage(by_group=False) < 0.7


def test_the_same_seed_gives_the_same_interval() -> None:
    values, groups = [0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "c"]
    assert mean_interval(values, groups) == mean_interval(values, groups)
    assert mean_interval(values, groups).mean == 0.5


def test_one_value_for_all_leaves_no_doubt() -> None:
    interval = mean_interval([1.0, 1.0], ["a", "b"])
    assert (interval.low, interval.high, interval.excludes_zero) == (1.0, 1.0, True)
    assert not mean_interval([0.0, 0.0], ["a", "b"]).excludes_zero
