"""Laws of the measured line: it finds the true one, and what follows from it has the right sign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.pass_costs import PassCosts


def _measured(base_ms: float, token_ms: float, sizes: list[int]) -> PassCosts:
    costs = PassCosts()
    for n_tokens in sizes:
        costs.note(n_tokens, base_ms + token_ms * n_tokens)
    return costs


@pytest.mark.parametrize(("base_ms", "token_ms"), [(0.2, 0.05), (12.0, 0.9), (3.0, 0.01)])
def test_the_true_line_is_found(base_ms: float, token_ms: float) -> None:
    costs = _measured(base_ms, token_ms, [1, 1, 2, 9, 1, 64, 1, 3] * 60)
    assert costs.base_ms == pytest.approx(base_ms, rel=0.05)
    assert costs.token_ms == pytest.approx(token_ms, rel=0.05)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.0, 1e6)), max_size=60))
def test_whatever_is_measured_both_numbers_stay_positive(passes: list[tuple[int, float]]) -> None:
    costs = PassCosts()
    for n_tokens, ms in passes:
        costs.note(n_tokens, ms)
        assert costs.base_ms > 0.0
        assert costs.token_ms > 0.0
        assert 0.0 < costs.least_useful_probability(4) < 1.0
        assert costs.n_tokens_beside(2) >= 8


def test_passes_of_one_size_alone_are_foreseen_well() -> None:
    assert _measured(4.0, 0.2, [1] * 300).estimate_ms(1) == pytest.approx(4.2, rel=0.05)


def test_the_fuller_the_batch_the_surer_a_draft_must_be() -> None:
    costs = _measured(2.0, 0.1, [1, 16, 2, 40] * 40)
    asked = [costs.least_useful_probability(n_rows) for n_rows in (1, 4, 16)]
    assert asked == sorted(asked)
    assert asked[0] < 0.1
    assert asked[-1] > 0.4
