"""Laws of passes in parts: nothing is lost or swapped, and a failure is not repeated at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.pass_halving import PassHalving

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=20)


@given(sizes=SIZES, n_failed=st.integers(1, 2000))
def test_parts_hold_every_piece_once_and_in_order(sizes: list[int], n_failed: int) -> None:
    halving = PassHalving()
    assert halving.split(sizes) == [slice(0, len(sizes))]
    halving.note_failure(n_failed)
    parts = halving.split(sizes)
    assert [index for part in parts for index in range(len(sizes))[part]] == list(range(len(sizes)))
    assert halving.n_most_tokens is not None
    for part in parts:
        assert len(sizes[part]) == 1 or sum(sizes[part]) <= halving.n_most_tokens


def test_the_limit_returns_after_passes_that_went_well() -> None:
    halving = PassHalving()
    halving.note_failure(100)
    assert halving.n_most_tokens == 50
    n_passes = 0
    while len(halving.split([100])) == 1 and halving.n_most_tokens < 100:
        n_passes += 1
    assert n_passes == 256
