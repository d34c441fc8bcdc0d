"""A batch of decoding rows as numbers at fixed places: one host buffer, one copy to the device.

Owns the layout of that buffer and how rows fill it. A graph reads the same addresses at every
step, so each size of batch has its places once and for all. Runs nothing.

    a row's tokens come first, padding after them; padding writes to the scratch page alone
    `lengths_B` counts a row's slots as if all T tokens were its own: token t of a row sees the
    slots [0, n_cached + t + 1), padding or not, and a padding row sees the scratch page
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.engine.pieces import Wish
from fimble_model.gpu.buckets import Bucket
from fimble_model.gpu.pool import SCRATCH_PAGE

__all__ = ["BatchRow", "BatchShape", "StaticBatch", "fill"]

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

    @staticmethod
    def n_bytes(shape: BatchShape) -> int:
        """Bytes that the arrays of a shape take, from the buffer's first on."""
        return sum(
            _aligned(torch.Size(sizes).numel() * dtype.itemsize) for dtype, sizes in _arrays(shape)
        )


def fill(batch: StaticBatch, rows: Sequence[BatchRow], n_most_positions: int) -> None:
    """Write the rows, and padding after them, into a batch in host memory.

    Positions stay below `n_most_positions`. There may be no rows at all: for warming up.
    """
    n_rows, n_table_pages = batch.tables_BP.shape
    n_row_tokens = len(batch.token_ids_N) // n_rows
    assert len(rows) <= n_rows, "more rows than the bucket has"
    tokens = [
        _row_tokens(row, index, n_row_tokens, n_most_positions) for index, row in enumerate(rows)
    ]
    padding = BatchRow((), 0, ())
    tokens += [
        _row_tokens(padding, index, n_row_tokens, n_most_positions)
        for index in range(len(rows), n_rows)
    ]
    columns = zip(*(token for some in tokens for token in some), strict=True)
    for array, column in zip(batch[:7], columns, strict=True):
        array.numpy()[:] = column
    lengths_B = batch.lengths_B.numpy()
    lengths_B[:] = n_row_tokens
    lengths_B[: len(rows)] += np.fromiter((row.n_cached for row in rows), np.int32, len(rows))
    tables_BP = batch.tables_BP.numpy()
    tables_BP[:] = SCRATCH_PAGE
    for index, row in enumerate(rows):
        assert len(row.pages) <= n_table_pages, "a row of more pages than its table has"
        tables_BP[index, : len(row.pages)] = row.pages


class _Token(NamedTuple):
    """One token's entry in each of the first seven arrays, in their order."""

    token_id: int
    source: int
    position: int
    slot: int
    temperature: float
    top_p: float
    uniform: float


def _row_tokens(
    row: BatchRow, row_index: int, n_row_tokens: int, n_most_positions: int
) -> list[_Token]:
    n_own = 1 if row.source is not None else len(row.token_ids)
    temperature, top_p = (row.wish.temperature, row.wish.top_p) if row.wish else (0.0, 1.0)
    uniforms = row.wish.uniforms if row.wish else ()
    tokens = []
    for index in range(n_row_tokens):
        position = row.n_cached + index
        draw = index - row.n_silent
        is_drawn = index < n_own and 0 <= draw < len(uniforms)
        tokens.append(
            _Token(
                row.token_ids[index] if index < len(row.token_ids) else 0,
                row.source or 0,
                min(position, n_most_positions - 1),
                row.pages[position // PAGE_SLOTS] * PAGE_SLOTS + position % PAGE_SLOTS
                if index < n_own
                else SCRATCH_PAGE * PAGE_SLOTS + (row_index * n_row_tokens + index) % PAGE_SLOTS,
                temperature if is_drawn else 0.0,
                top_p,
                uniforms[draw] if is_drawn else 0.0,
            )
        )
    return tokens


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
