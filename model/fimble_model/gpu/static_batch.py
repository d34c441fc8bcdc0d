"""A batch of decoding rows as numbers at fixed places: one host buffer, one copy to the device.

Owns the layout of that buffer and how rows fill it. A graph reads the same addresses at every
step, so each size of batch has its places once and for all. Runs nothing.

    a row's tokens come first, padding after them; padding writes to the scratch page alone
    `lengths_B` counts a row's slots as if all T tokens were its own: token t of a row sees the
    slots [0, n_cached + t + 1), padding or not, and a padding row sees the scratch page
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.engine.pieces import Wish
from fimble_model.gpu.buckets import Bucket
from fimble_model.gpu.pool import SCRATCH_PAGE

__all__ = ["BatchRow", "BatchShape", "Columns", "StaticBatch", "fill", "fill_next"]

# Copies and kernels like their arrays on lines of memory.
_ALIGNMENT_BYTES = 128


class BatchRow(NamedTuple):
    """A row's part of a batch. `source` is given where its one token is not known on the host:
    it is the one drawn at that line of the step before."""

    token_ids: Sequence[int]
    n_cached: int
    pages: Sequence[int]
    n_silent: int = 0
    wish: Wish | None = None
    source: int | None = None


class BatchShape(NamedTuple):
    """What a layout follows from: the bucket, and how many pages a row's table names."""

    bucket: Bucket
    n_table_pages: int


class StaticBatch(NamedTuple):
    """A batch's arrays, all of them views of one buffer of bytes.

    `sources_N` says from which line of the step before a token comes, where it comes from there.
    """

    token_ids_N: Tensor
    sources_N: Tensor
    positions_N: Tensor
    slots_N: Tensor
    temperatures_N: Tensor
    top_ps_N: Tensor
    uniforms_N: Tensor
    lengths_B: Tensor
    tables_BP: Tensor

    @classmethod
    def over(cls, buffer: Tensor, shape: BatchShape) -> StaticBatch:
        """The arrays of a shape in a buffer of at least `n_bytes` of it."""
        views = []
        start = 0
        for dtype, sizes in _arrays(shape):
            n_bytes = torch.Size(sizes).numel() * dtype.itemsize
            views.append(buffer[start : start + n_bytes].view(dtype).view(sizes))
            start += _aligned(n_bytes)
        return cls(*views)

    def numbers(self) -> Columns:
        """The same memory, which must be the host's, for NumPy."""
        return Columns(*(array.numpy() for array in self))

    @staticmethod
    @functools.cache
    def n_bytes(shape: BatchShape) -> int:
        """Bytes that the arrays of a shape take, from the buffer's first on."""
        return sum(
            _aligned(torch.Size(sizes).numel() * dtype.itemsize) for dtype, sizes in _arrays(shape)
        )


class Columns(NamedTuple):
    """A batch's arrays as NumPy sees them: writing a few numbers there is quicker."""

    token_ids_N: npt.NDArray[np.int64]
    sources_N: npt.NDArray[np.int64]
    positions_N: npt.NDArray[np.int64]
    slots_N: npt.NDArray[np.int64]
    temperatures_N: npt.NDArray[np.float32]
    top_ps_N: npt.NDArray[np.float32]
    uniforms_N: npt.NDArray[np.float32]
    lengths_B: npt.NDArray[np.int32]
    tables_BP: npt.NDArray[np.int32]


def fill(columns: Columns, rows: Sequence[BatchRow], n_most_positions: int) -> None:
    """Write the rows, and padding after them, into a batch in host memory.

    Positions stay below `n_most_positions`. There may be no rows at all: for warming up.
    """
    n_batch_rows = len(columns.lengths_B)
    assert len(rows) <= n_batch_rows, "more rows than the bucket has"
    n_rows, n_row_tokens = len(rows), len(columns.token_ids_N) // n_batch_rows
    _clear(columns)
    if not rows:
        return
    tables_RP = columns.tables_BP[:n_rows]
    _fill_tables(tables_RP, [row.pages for row in rows])
    n_cached_R = np.fromiter((row.n_cached for row in rows), np.int64, n_rows)
    n_own_R = np.fromiter(
        (len(row.token_ids) if row.source is None else 1 for row in rows), np.int64, n_rows
    )
    tokens_T = np.arange(n_row_tokens)
    places_RT = n_cached_R[:, None] + tokens_T
    columns.lengths_B[:n_rows] += n_cached_R.astype(np.int32)
    shape = (n_batch_rows, n_row_tokens)
    columns.positions_N.reshape(shape)[:n_rows] = np.minimum(places_RT, n_most_positions - 1)
    slots_RT = columns.slots_N.reshape(shape)[:n_rows]
    pages_RT = np.minimum(places_RT // PAGE_SLOTS, tables_RP.shape[1] - 1)
    own_RT = np.take_along_axis(tables_RP, pages_RT, 1).astype(np.int64) * PAGE_SLOTS
    np.copyto(slots_RT, own_RT + places_RT % PAGE_SLOTS, where=tokens_T < n_own_R[:, None])
    ids_BT, sources_BT = columns.token_ids_N.reshape(shape), columns.sources_N.reshape(shape)
    for index, row in enumerate(rows):
        if row.source is not None:
            sources_BT[index] = row.source
        else:
            ids_BT[index, : len(row.token_ids)] = row.token_ids
        if row.wish is not None and row.wish.temperature > 0:
            _fill_draws(columns, row, index * n_row_tokens, row.wish)


def fill_next(
    columns: Columns,
    old: Columns,
    places: npt.NDArray[np.intp],
    pages_of: Callable[[int], Sequence[int]],
    uniforms: Sequence[float],
) -> None:
    """Write the step after `old`, both in host memory, for those of its rows at `places`.

    Each row has one token, drawn by `old` at its line there, and goes on drawing as it did; the
    number of its draw is in `uniforms`, which is empty where all are greedy. `pages_of` tells the
    pages of a row, given its index in this batch, where a new page begins.
    """
    n_rows = len(places)
    _clear(columns)
    columns.sources_N[:n_rows] = places
    positions_R = old.positions_N[places] + 1
    columns.positions_N[:n_rows] = positions_R
    columns.slots_N[:n_rows] = old.slots_N[places] + 1
    columns.lengths_B[:n_rows] = old.lengths_B[places] + 1
    n_pages = min(columns.tables_BP.shape[1], old.tables_BP.shape[1])
    columns.tables_BP[:n_rows, :n_pages] = old.tables_BP[places, :n_pages]
    if uniforms:
        columns.temperatures_N[:n_rows] = old.temperatures_N[places]
        columns.top_ps_N[:n_rows] = old.top_ps_N[places]
        columns.uniforms_N[:n_rows] = uniforms
    for index in np.flatnonzero(positions_R % PAGE_SLOTS == 0).tolist():
        pages = pages_of(index)
        columns.tables_BP[index, : len(pages)] = pages
        columns.slots_N[index] = pages[int(positions_R[index]) // PAGE_SLOTS] * PAGE_SLOTS


def _clear(columns: Columns) -> None:
    """Make all rows padding."""
    n_tokens, n_rows = len(columns.token_ids_N), len(columns.lengths_B)
    n_row_tokens = n_tokens // n_rows
    for zeros in (columns.token_ids_N, columns.sources_N, columns.temperatures_N):
        zeros.fill(0)
    columns.uniforms_N.fill(0)
    columns.top_ps_N.fill(1)
    columns.positions_N.reshape(n_rows, n_row_tokens)[:] = np.arange(n_row_tokens)
    columns.slots_N[:] = SCRATCH_PAGE * PAGE_SLOTS + np.arange(n_tokens) % PAGE_SLOTS
    columns.lengths_B.fill(n_row_tokens)
    columns.tables_BP.fill(SCRATCH_PAGE)


def _fill_tables(tables_RP: npt.NDArray[np.int32], pages: Sequence[Sequence[int]]) -> None:
    counts_R = np.fromiter(map(len, pages), np.int64, len(pages))
    n_table_pages = tables_RP.shape[1]
    assert counts_R.max() <= n_table_pages, "a row of more pages than its table has"
    is_named_RP = np.arange(n_table_pages) < counts_R[:, None]
    numbers = itertools.chain.from_iterable(pages)
    tables_RP[is_named_RP] = np.fromiter(numbers, np.int32, int(counts_R.sum()))


def _fill_draws(columns: Columns, row: BatchRow, start: int, wish: Wish) -> None:
    """Of one row whose first token is at `start`: its loud tokens draw, the others do not."""
    n_own = 1 if row.source is not None else len(row.token_ids)
    n_draws = min(n_own - row.n_silent, len(wish.uniforms))
    loud = slice(start + row.n_silent, start + row.n_silent + n_draws)
    columns.temperatures_N[loud] = wish.temperature
    columns.top_ps_N[loud] = wish.top_p
    columns.uniforms_N[loud] = wish.uniforms[:n_draws]


def _arrays(shape: BatchShape) -> list[tuple[torch.dtype, tuple[int, ...]]]:
    bucket, n_table_pages = shape
    by_token = (bucket.n_tokens,)
    return [
        *[(torch.int64, by_token)] * 4,
        *[(torch.float32, by_token)] * 3,
        (torch.int32, (bucket.n_rows,)),
        (torch.int32, (bucket.n_rows, n_table_pages)),
    ]


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
