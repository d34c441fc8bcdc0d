"""Laws of the cache: reuse is token-exact, the budget holds, the least recently used goes first."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.kv_cache import KvCache, KvLayout, KvRow
from fimble_model.engine.protocol import TokenId

LAYOUT = KvLayout(
    n_layers=2,
    n_key_heads=1,
    head_size=2,
    max_tokens=1024,
    dtype=torch.float32,
    device=torch.device("cpu"),
)
ROW_BYTES = 256 * LAYOUT.bytes_per_token


def _ids(*numbers: int) -> list[TokenId]:
    return [TokenId(number) for number in numbers]


def _fill(row: KvRow, token_ids: list[TokenId]) -> None:
    """Stand in for a pass: slot i of every layer holds the i-th token's number."""
    start = len(row.token_ids)
    for k_KSD, v_KSD in row.layers:
        for place, token_id in enumerate(token_ids[start:], start):
            k_KSD[:, place] = float(token_id)
            v_KSD[:, place] = -float(token_id)
    row.extend(token_ids[start:])


def _acquire(cache: KvCache, token_ids: list[TokenId], n_slots: int = 10) -> KvRow:
    row = cache.try_acquire(token_ids, n_slots)
    assert row is not None
    return row


def _assert_holds_its_tokens(row: KvRow) -> None:
    for k_KSD, v_KSD in row.layers:
        for place, token_id in enumerate(row.token_ids):
            assert (k_KSD[:, place] == float(token_id)).all()
            assert (v_KSD[:, place] == -float(token_id)).all()


def test_a_kept_row_serves_the_prompt_that_continues_it_without_a_copy() -> None:
    cache = KvCache(LAYOUT)
    row = _acquire(cache, _ids(1, 2, 3))
    assert row.token_ids == []
    _fill(row, _ids(1, 2, 3, 4))
    cache.release(row)
    again = _acquire(cache, _ids(1, 2, 3, 9))
    assert again is row
    assert again.token_ids == _ids(1, 2, 3)
    _assert_holds_its_tokens(again)


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    cache = KvCache(LAYOUT)
    row = _acquire(cache, _ids(1, 2, 3))
    _fill(row, _ids(1, 2, 3))
    cache.release(row)
    assert _acquire(cache, _ids(1, 2, 3)).token_ids == _ids(1, 2)


def test_a_row_in_use_is_copied_and_stays_as_it_is() -> None:
    cache = KvCache(LAYOUT)
    first = _acquire(cache, _ids(1, 2, 3))
    _fill(first, _ids(1, 2, 3))
    second = _acquire(cache, _ids(1, 2, 7))
    assert second is not first
    assert second.token_ids == _ids(1, 2)
    _fill(second, _ids(1, 2, 7, 8))
    _assert_holds_its_tokens(first)
    _assert_holds_its_tokens(second)


def test_a_row_of_another_place_is_kept() -> None:
    cache = KvCache(LAYOUT)
    row = _acquire(cache, _ids(1, 2, 3, 4, 5))
    _fill(row, _ids(1, 2, 3, 4, 5))
    cache.release(row)
    other = _acquire(cache, _ids(1, 9, 9))
    assert other.token_ids == _ids(1)
    assert cache.n_cached_tokens(_ids(1, 2, 3, 4, 5, 6)) == 5


def test_a_row_that_grows_takes_its_tokens_along() -> None:
    cache = KvCache(LAYOUT)
    row = _acquire(cache, _ids(1, 2, 3))
    _fill(row, _ids(1, 2, 3))
    cache.release(row)
    grown = _acquire(cache, _ids(1, 2, 3, 4), n_slots=300)
    assert grown.capacity >= 300
    assert grown.token_ids == _ids(1, 2, 3)
    _assert_holds_its_tokens(grown)
    assert cache.n_bytes == grown.n_bytes


def test_the_least_recently_used_row_is_dropped_first() -> None:
    cache = KvCache(LAYOUT, budget_bytes=2 * ROW_BYTES)
    for start in (1, 2):
        row = _acquire(cache, _ids(start, start))
        _fill(row, _ids(start, start))
        cache.release(row)
    touched = _acquire(cache, _ids(1, 1, 5))
    cache.release(touched)
    cache.release(_acquire(cache, _ids(3, 3)))
    assert cache.n_cached_tokens(_ids(1, 1)) == 1
    assert cache.n_cached_tokens(_ids(2, 2)) == 0


def test_rows_in_use_are_never_dropped() -> None:
    cache = KvCache(LAYOUT, budget_bytes=2 * ROW_BYTES)
    first, second = _acquire(cache, _ids(1, 1)), _acquire(cache, _ids(2, 2))
    assert cache.try_acquire(_ids(3, 3), 10) is None
    cache.discard(first)
    cache.release(second)
    assert cache.try_acquire(_ids(3, 3), 10) is not None
    assert cache.n_rows_in_use == 1


uses = st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.integers(1, 600)))


@given(uses)
def test_the_budget_holds_and_slots_match_their_tokens(uses: list[tuple[list[int], int]]) -> None:
    cache = KvCache(LAYOUT, budget_bytes=5 * ROW_BYTES)
    in_use: list[KvRow] = []
    for numbers, n_slots in uses:
        token_ids = _ids(*numbers)
        row = cache.try_acquire(token_ids, n_slots)
        if row is None:
            assert in_use, "an empty cache has room"
            cache.release(in_use.pop(0))
            continue
        assert row.capacity >= n_slots
        assert row.token_ids == token_ids[: len(row.token_ids)] != token_ids
        _fill(row, token_ids)
        in_use.append(row)
        for held in in_use:
            _assert_holds_its_tokens(held)
        assert cache.n_bytes <= cache.budget_bytes
