"""Laws of the fixed batches: no slot has two writers, padding touches the scratch page alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.paging import PAGE_SLOTS, n_pages_for
from fimble_model.engine.pieces import Wish
from fimble_model.gpu.buckets import (
    MOST_BATCH_ROWS,
    MOST_ROW_TOKENS,
    Bucket,
    all_buckets,
    plan_batches,
)
from fimble_model.gpu.pool import SCRATCH_PAGE
from fimble_model.gpu.static_batch import BatchRow, BatchShape, StaticBatch, fill

MOST_POSITIONS = 512
SIZES = st.lists(st.integers(1, MOST_ROW_TOKENS), max_size=300)


@st.composite
def _rows(draw: st.DrawFn) -> list[BatchRow]:
    """Rows of any length over pages that lie in any order, each page in one row."""
    lengths = draw(
        st.lists(st.tuples(st.integers(0, 300), st.integers(1, 17)), min_size=1, max_size=16)
    )
    n_pages = sum(n_pages_for(n_cached + n_tokens) for n_cached, n_tokens in lengths)
    pages = draw(st.permutations(range(1, 1 + n_pages)))
    rows: list[BatchRow] = []
    start = 0
    for n_cached, n_tokens in lengths:
        end = start + n_pages_for(n_cached + n_tokens)
        n_silent = draw(st.integers(0, n_tokens))
        uniforms = tuple(0.5 + index / 100 for index in range(n_tokens - n_silent + 1))
        wish = draw(st.sampled_from([None, Wish(0.0, 1.0, (), 9), Wish(0.7, 0.9, uniforms, 9)]))
        token_ids = list(range(1000 * len(rows), 1000 * len(rows) + n_tokens))
        rows.append(BatchRow(token_ids, n_cached, pages[start:end], n_silent, wish))
        start = end
    return rows


def _filled(rows: list[BatchRow]) -> tuple[StaticBatch, Bucket]:
    (planned,) = plan_batches([len(row.token_ids) for row in rows])
    shape = BatchShape(planned.bucket, n_pages_for(MOST_POSITIONS))
    # What a batch before left there must not matter.
    buffer = torch.full((StaticBatch.n_bytes(shape),), 113, dtype=torch.uint8)
    batch = StaticBatch.over(buffer, shape)
    fill(batch.numbers(), rows, MOST_POSITIONS)
    return batch, planned.bucket


@settings(max_examples=30)
@given(rows=_rows())
def test_every_token_writes_its_rows_next_slot_and_padding_the_scratch_page(
    rows: list[BatchRow],
) -> None:
    batch, bucket = _filled(rows)
    slots_BT = batch.slots_N.view(bucket).tolist()
    ids_BT = batch.token_ids_N.view(bucket).tolist()
    positions_BT = batch.positions_N.view(bucket).tolist()
    written = []
    for index in range(bucket.n_rows):
        row = rows[index] if index < len(rows) else BatchRow((), 0, ())
        n_own = len(row.token_ids)
        places = range(row.n_cached, row.n_cached + n_own)
        own = [row.pages[p // PAGE_SLOTS] * PAGE_SLOTS + p % PAGE_SLOTS for p in places]
        assert slots_BT[index][:n_own] == own
        assert ids_BT[index][:n_own] == list(row.token_ids)
        assert positions_BT[index][:n_own] == list(places)
        assert all(slot // PAGE_SLOTS == SCRATCH_PAGE for slot in slots_BT[index][n_own:])
        written += own
    assert len(set(written)) == len(written), "a slot was written by two rows"
    assert not any(slot // PAGE_SLOTS == SCRATCH_PAGE for slot in written)
    assert 0 <= int(batch.positions_N.min()) <= int(batch.positions_N.max()) < MOST_POSITIONS


@settings(max_examples=30)
@given(rows=_rows())
def test_tables_and_lengths_are_those_of_the_rows(rows: list[BatchRow]) -> None:
    batch, bucket = _filled(rows)
    for index, (table, length) in enumerate(
        zip(batch.tables_BP.tolist(), batch.lengths_B.tolist(), strict=True)
    ):
        row = rows[index] if index < len(rows) else BatchRow((), 0, ())
        assert table[: len(row.pages)] == list(row.pages)
        assert set(table[len(row.pages) :]) <= {SCRATCH_PAGE}
        for t in range(len(row.token_ids)):
            # Token t sees [0, length - T + t + 1): all up to itself.
            assert length - bucket.n_row_tokens + t + 1 == row.n_cached + t + 1
        assert length - bucket.n_row_tokens + 1 >= 1, "a token that sees nothing"
        assert length <= len(table) * PAGE_SLOTS


@settings(max_examples=30)
@given(rows=_rows())
def test_each_loud_token_has_the_rows_own_number_and_others_draw_greedily(
    rows: list[BatchRow],
) -> None:
    batch, bucket = _filled(rows)
    heats, uniforms = batch.temperatures_N.view(bucket), batch.uniforms_N.view(bucket)
    for index in range(bucket.n_rows):
        row = rows[index] if index < len(rows) else BatchRow((), 0, ())
        wish = row.wish if row.wish and row.wish.uniforms else None
        for t in range(bucket.n_row_tokens):
            is_drawn = wish is not None and row.n_silent <= t < len(row.token_ids)
            assert bool(heats[index, t] > 0) == is_drawn
            if wish is not None and is_drawn:
                assert uniforms[index, t] == np.float32(wish.uniforms[t - row.n_silent])


def test_a_row_that_goes_on_names_the_line_its_token_was_drawn_at() -> None:
    rows = [BatchRow((), 70, (3, 9), source=5), BatchRow((), 4, (7,), source=2)]
    shape = BatchShape(Bucket(4, 1), 8)
    buffer = torch.zeros(StaticBatch.n_bytes(shape), dtype=torch.uint8)
    batch = StaticBatch.over(buffer, shape)
    fill(batch.numbers(), rows, MOST_POSITIONS)
    assert batch.sources_N.tolist() == [5, 2, 0, 0]
    assert batch.slots_N.tolist()[:2] == [9 * PAGE_SLOTS + 6, 7 * PAGE_SLOTS + 4]


@given(sizes=SIZES)
def test_batches_hold_every_row_once_in_a_bucket_that_fits(sizes: list[int]) -> None:
    batches = plan_batches(sizes)
    assert sorted(i for batch in batches for i in batch.indices) == list(range(len(sizes)))
    for batch in batches:
        assert len(batch.indices) <= batch.bucket.n_rows
        assert max(sizes[i] for i in batch.indices) <= batch.bucket.n_row_tokens
        assert batch.bucket in all_buckets(MOST_BATCH_ROWS)


@given(n_most_rows=st.integers(1, 300), data=st.data())
def test_no_pass_needs_a_bucket_that_was_not_listed(n_most_rows: int, data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, min(n_most_rows, MOST_BATCH_ROWS)))
    sizes = data.draw(st.lists(st.integers(1, MOST_ROW_TOKENS), min_size=n_rows, max_size=n_rows))
    listed = all_buckets(n_most_rows)
    assert {batch.bucket for batch in plan_batches(sizes)} <= set(listed)
    assert listed == sorted(listed, key=lambda bucket: -bucket.n_tokens)
