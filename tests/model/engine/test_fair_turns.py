"""Laws of the turns: nothing is wasted, and nobody gets far ahead of another who waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.fair_turns import FairTurns

wants = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 200), max_size=5)


@given(st.lists(st.tuples(wants, st.integers(0, 100)), max_size=20), st.integers(1, 40))
def test_all_is_given_away_and_nobody_gets_more_than_wanted(
    passes: list[tuple[dict[str, int], int]], quantum: int
) -> None:
    turns = FairTurns(quantum)
    for wanted, n_tokens in passes:
        given_tokens = turns.share_out(wanted, n_tokens)
        assert sum(given_tokens.values()) == min(n_tokens, sum(wanted.values()))
        assert all(0 < n <= wanted[client] for client, n in given_tokens.items())


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 40))
def test_two_that_always_want_stay_within_two_quanta(budgets: list[int], quantum: int) -> None:
    """Each pair's difference is bounded for ever, whatever the passes' sizes are."""
    turns = FairTurns(quantum)
    totals = dict.fromkeys("abc", 0)
    for n_tokens in budgets:
        for client, n_given in turns.share_out(dict.fromkeys("abc", 10_000), n_tokens).items():
            totals[client] += n_given
        assert max(totals.values()) - min(totals.values()) <= quantum


def test_a_small_wish_beside_a_large_one_is_served_whole_in_its_turn() -> None:
    turns = FairTurns(16)
    assert turns.share_out({"large": 2000, "small": 10}, 64) == {"large": 54, "small": 10}
