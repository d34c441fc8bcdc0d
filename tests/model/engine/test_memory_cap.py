"""Laws of the cap: weights, cache and index fit under it together, or it is refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.memory_cap import MemoryShares, share_out_memory
from fimble_model.errors import DeviceError
from fimble_testing.tiny_engines import build_engine

SIZES = st.integers(0, 10**9)


@given(st.integers(1, 10**9), SIZES, SIZES, SIZES, st.integers(1, 10**6))
def test_what_is_held_fits_under_the_cap_and_a_prompt_fits_in(
    cap: int, weights: int, cache: int, index: int, page: int
) -> None:
    wanted = MemoryShares(cache, index)
    try:
        shares = share_out_memory(cap, wanted, weight_bytes=weights, page_bytes=page)
    except DeviceError:
        assert cap < weights + 4 * page
        return
    assert weights + sum(shares) <= cap
    assert shares.cache_bytes >= min(cache, 4 * page)
    assert shares.cache_bytes <= cache
    assert 0 <= shares.index_bytes <= index


def test_without_a_cap_all_that_is_wanted_is_given() -> None:
    wanted = MemoryShares(5, 7)
    assert share_out_memory(None, wanted, weight_bytes=10**12, page_bytes=10**9) == wanted


def test_little_room_means_fewer_pages_and_no_room_is_refused_with_what_is_needed() -> None:
    """An engine under a narrow cap has a smaller cache; under one below its weights, a reason."""
    free = build_engine().holdings
    narrow = build_engine(cap_bytes=2**20).holdings
    assert narrow.cache_limit_bytes < free.cache_limit_bytes
    assert narrow.weight_bytes + narrow.cache_limit_bytes <= 2**20
    with pytest.raises(DeviceError, match="memory_mib"):
        build_engine(cap_bytes=1_000)
