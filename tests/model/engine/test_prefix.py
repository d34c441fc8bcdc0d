"""Laws of prefix matching, against the slow obvious version."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.prefix import is_worth_moving, n_common_tokens
from fimble_model.engine.protocol import TokenId

few_ids = st.lists(st.integers(0, 2).map(TokenId), max_size=40)


@given(few_ids, few_ids, few_ids)
def test_the_common_prefix_is_what_a_loop_finds(
    start: list[TokenId], left: list[TokenId], right: list[TokenId]
) -> None:
    left, right = start + left, start + right
    n_obvious = 0
    while n_obvious < min(len(left), len(right)) and left[n_obvious] == right[n_obvious]:
        n_obvious += 1
    assert n_common_tokens(left, right) == n_obvious


def test_a_row_of_another_place_is_copied_and_not_moved() -> None:
    assert is_worth_moving(n_shared_tokens=99, n_cached_tokens=100)
    assert not is_worth_moving(n_shared_tokens=3, n_cached_tokens=100)
