"""Laws of the pages: reuse is token-exact, nothing leaks, nothing shared is written, all fits."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.paging import PAGE_SLOTS, PagedRow, PagedRows, n_pages_for
from fimble_model.engine.protocol import TokenId


def _ids(*numbers: int) -> list[TokenId]:
    return [TokenId(number) for number in numbers]


def _many(n_tokens: int, last: int = 0) -> list[TokenId]:
    return _ids(*range(n_tokens - 1), last)


class Memory:
    """Stands in for tensors: what is written in each slot of each page."""

    def __init__(self, n_pages: int, max_tokens: int = 1024) -> None:
        self.slots: dict[int, list[TokenId | None]] = {}
        self.n_copies = 0
        self.rows = PagedRows(n_pages=n_pages, max_tokens=max_tokens, copy_page=self._copy)

    def _copy(self, source: int, target: int) -> None:
        self.slots[target] = list(self.slots[source])
        self.n_copies += 1

    def acquire(self, token_ids: list[TokenId], n_slots: int | None = None) -> PagedRow:
        row = self.rows.try_acquire(token_ids, n_slots or len(token_ids))
        assert row is not None
        return row

    def fill(self, row: PagedRow, token_ids: list[TokenId]) -> None:
        """What a pass does with the tokens that the row does not hold yet."""
        start = len(row.token_ids)
        row.prepare(len(token_ids) - start)
        for slot in range(start, len(token_ids)):
            page = row.pages[slot // PAGE_SLOTS]
            assert not self.rows.pages.is_shared(page), "a shared page was written"
            self.slots.setdefault(page, [None] * PAGE_SLOTS)[slot % PAGE_SLOTS] = token_ids[slot]
        row.extend(token_ids[start:])

    def assert_holds_its_tokens(self, row: PagedRow) -> None:
        held = [
            self.slots[row.pages[slot // PAGE_SLOTS]][slot % PAGE_SLOTS]
            for slot in range(len(row.token_ids))
        ]
        assert held == row.token_ids


def test_a_kept_row_serves_the_prompt_that_continues_it_without_a_copy() -> None:
    memory = Memory(8)
    row = memory.acquire(_many(100))
    memory.fill(row, _many(100))
    memory.rows.release(row)
    again = memory.acquire([*_many(100), TokenId(7)])
    assert again.token_ids == _many(100)
    memory.fill(again, [*_many(100), TokenId(7)])
    memory.assert_holds_its_tokens(again)
    assert memory.n_copies == 0
    assert memory.rows.pages.n_used == 2


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    memory = Memory(4)
    row = memory.acquire(_ids(1, 2, 3))
    memory.fill(row, _ids(1, 2, 3))
    memory.rows.release(row)
    assert memory.acquire(_ids(1, 2, 3)).token_ids == _ids(1, 2)


def test_rows_share_whole_pages_and_copy_the_one_they_write() -> None:
    """Sixteen candidates for one place hold its prompt once."""
    memory = Memory(40)
    prompt = _many(4 * PAGE_SLOTS + 10)
    first = memory.acquire(prompt, len(prompt) + 20)
    memory.fill(first, prompt)
    others = [memory.acquire(prompt, len(prompt) + 20) for _ in range(15)]
    for number, row in enumerate(others):
        assert row.token_ids == prompt[:-1]
        memory.fill(row, [*prompt, TokenId(number)])
    for row in (first, *others):
        memory.assert_holds_its_tokens(row)
    assert memory.rows.pages.n_used == 4 + 16
    assert memory.n_copies == 15


def test_a_row_of_another_place_is_kept() -> None:
    memory = Memory(8)
    row = memory.acquire(_ids(1, 2, 3, 4, 5))
    memory.fill(row, _ids(1, 2, 3, 4, 5))
    memory.rows.release(row)
    assert memory.acquire(_ids(1, 9, 9)).token_ids == _ids(1)
    assert memory.rows.n_cached_tokens(_ids(1, 2, 3, 4, 5, 6)) == 5


def test_the_oldest_row_goes_first_and_from_its_end() -> None:
    memory = Memory(8)
    for start in (1, 2):
        token_ids = [TokenId(start), *_many(3 * PAGE_SLOTS)]
        row = memory.acquire(token_ids)
        memory.fill(row, token_ids)
        memory.rows.release(row)
    row = memory.acquire(_ids(*[3] * PAGE_SLOTS))
    memory.fill(row, _ids(*[3] * PAGE_SLOTS))
    assert memory.rows.n_cached_tokens([TokenId(1), *_many(3 * PAGE_SLOTS)]) == 3 * PAGE_SLOTS
    assert memory.rows.n_cached_tokens([TokenId(2), *_many(3 * PAGE_SLOTS)]) == 3 * PAGE_SLOTS


def test_rows_in_use_are_never_dropped() -> None:
    memory = Memory(2)
    first, second = memory.acquire(_ids(1, 1)), memory.acquire(_ids(2, 2))
    assert memory.rows.try_acquire(_ids(3, 3), 10) is None
    memory.rows.discard(first)
    memory.rows.release(second)
    assert memory.rows.try_acquire(_ids(3, 3), 10) is not None
    assert memory.rows.n_rows_in_use == 1


def test_rolling_back_keeps_the_start_and_frees_whole_pages() -> None:
    memory = Memory(16)
    row = memory.acquire(_ids(1), 400)
    memory.fill(row, _many(200))
    other = memory.acquire(_many(150), 200)
    row.truncate(70)
    memory.fill(row, _many(90, last=9))
    memory.assert_holds_its_tokens(row)
    memory.assert_holds_its_tokens(other)
    assert other.token_ids == _many(200)[:149]


def test_below_what_it_found_no_row_rolls_back() -> None:
    memory = Memory(8)
    row = memory.acquire(_many(100))
    memory.fill(row, _many(100))
    other = memory.acquire(_many(100))
    with pytest.raises(AssertionError, match="floor"):
        other.truncate(50)


steps = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "fill", "truncate", "release", "discard"]),
        st.integers(0, 5),
        st.integers(1, 5 * PAGE_SLOTS),
    ),
    max_size=40,
)


@given(steps, st.integers(3, 12))
def test_whatever_rows_do_nothing_leaks_and_all_slots_match(
    steps: list[tuple[str, int, int]], n_pages: int
) -> None:
    """Random lives of rows that share prefixes, against the memory that they describe."""
    memory = Memory(n_pages, max_tokens=5 * PAGE_SLOTS)
    in_use: list[PagedRow] = []
    for kind, number, n_tokens in steps:
        # Two families of texts: a row's tokens say where it branched off.
        text = [*_many(max(n_tokens - 30, 1), last=number % 2), *_ids(*range(30))][:n_tokens]
        if kind == "acquire":
            n_slots = min(n_tokens + 40, memory.rows.max_row_tokens)
            row = memory.rows.try_acquire(text[:n_slots], n_slots)
            assert row is not None or in_use, "an empty cache has room"
            if row is not None:
                assert row.token_ids == text[: len(row.token_ids)]
                in_use.append(row)
        elif in_use:
            row = in_use[number % len(in_use)]
            if kind == "fill":
                held = row.token_ids
                n_more = min(n_tokens, row.capacity - len(held))
                memory.fill(row, [*held, *_ids(*[number] * n_more)])
            elif kind == "truncate":
                row.truncate(max(row.n_floor, len(row.token_ids) - n_tokens))
            else:
                in_use.remove(row)
                getattr(memory.rows, kind)(row)
        _assert_sound(memory, in_use)


def _assert_sound(memory: Memory, in_use: list[PagedRow]) -> None:
    rows = memory.rows
    holders = Counter(page for row in (*rows._kept, *in_use) for page in row.pages)
    assert rows.pages.n_used == len(holders) <= rows.pages.n_pages
    assert all(rows.pages.is_shared(page) == (count > 1) for page, count in holders.items())
    assert rows.n_rows_in_use == len(in_use)
    for row in (*rows._kept, *in_use):
        assert len(row.pages) >= n_pages_for(len(row.token_ids))
        memory.assert_holds_its_tokens(row)


def test_pages_before_the_first_are_never_handed_out_and_starting_over_frees_all() -> None:
    rows = PagedRows(n_pages=3, max_tokens=1024, copy_page=lambda *_: None, first_page=1)
    for n_pages in (3, 2):
        row = rows.try_acquire([TokenId(1)] * 100, 128)
        assert row is not None
        row.prepare(100)
        assert row.pages == [1, 2]
        row.extend([TokenId(1)] * 100)
        rows.release(row)
        rows.start_over(n_pages)
        assert rows.n_cached_tokens([TokenId(1)] * 100) == 0
        assert rows.max_row_tokens == n_pages * PAGE_SLOTS
