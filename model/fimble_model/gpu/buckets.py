"""The sizes that decoding comes in, and which rows of a pass share a batch of which size.

Owns the list of sizes: a graph is captured for each, so there are few. Pure; knows no tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["MOST_BATCH_ROWS", "MOST_ROW_TOKENS", "Batch", "Bucket", "all_buckets", "plan_batches"]

_ROWS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
# A token and up to 16 drafted ones; or the few tokens that a key adds to a prompt.
_ROW_TOKENS = (1, 5, 17)
# Speculation pays in small batches, so that only those come with several tokens a row.
_MOST_ROWS_OF_SEVERAL = 16

MOST_BATCH_ROWS = _ROWS[-1]
MOST_ROW_TOKENS = _ROW_TOKENS[-1]


class Bucket(NamedTuple):
    """A batch of `n_rows` rows with `n_row_tokens` tokens each, some of them padding."""

    n_rows: int
    n_row_tokens: int

    @property
    def n_tokens(self) -> int:
        """Tokens of all its rows."""
        return self.n_rows * self.n_row_tokens


class Batch(NamedTuple):
    """Which rows of a pass, by their index, share a batch of a bucket's size."""

    bucket: Bucket
    indices: tuple[int, ...]


def all_buckets(n_most_rows: int) -> list[Bucket]:
    """Every bucket that passes of so many rows may need, the largest first.

    A graph's memory serves the smaller ones captured after it.
    """
    buckets = {
        bucket
        for n_rows in range(1, min(n_most_rows, MOST_BATCH_ROWS) + 1)
        for n_row_tokens in _ROW_TOKENS
        if (bucket := _smallest(n_rows, n_row_tokens)) is not None
    }
    return sorted(buckets, key=lambda bucket: (bucket.n_tokens, bucket), reverse=True)


def plan_batches(sizes: Sequence[int]) -> list[Batch]:
    """Batches for rows of so many tokens each, none above `MOST_ROW_TOKENS`.

    All rows share one where a bucket holds them. Else rows of one token have batches of their
    own, and the others as few as hold them.

    >>> plan_batches([1, 3, 1])
    [Batch(bucket=Bucket(n_rows=4, n_row_tokens=5), indices=(0, 1, 2))]
    """
    if not sizes:
        return []
    bucket = _smallest(len(sizes), max(sizes))
    if bucket is not None:
        return [Batch(bucket, tuple(range(len(sizes))))]
    ones = [index for index, size in enumerate(sizes) if size == 1]
    others = sorted(
        (index for index, size in enumerate(sizes) if size > 1), key=lambda index: sizes[index]
    )
    batches = []
    for indices, n_most_rows in ((ones, MOST_BATCH_ROWS), (others, _MOST_ROWS_OF_SEVERAL)):
        for start in range(0, len(indices), n_most_rows):
            part = tuple(indices[start : start + n_most_rows])
            bucket = _smallest(len(part), max(sizes[index] for index in part))
            assert bucket is not None, "a row of more tokens than any bucket has"
            batches.append(Batch(bucket, part))
    return batches


@functools.cache
def _smallest(n_rows: int, n_row_tokens: int) -> Bucket | None:
    rows = next((rows for rows in _ROWS if rows >= n_rows), None)
    tokens = next((tokens for tokens in _ROW_TOKENS if tokens >= n_row_tokens), None)
    if rows is None or tokens is None or (tokens > 1 and rows > _MOST_ROWS_OF_SEVERAL):
        return None
    return Bucket(rows, tokens)
