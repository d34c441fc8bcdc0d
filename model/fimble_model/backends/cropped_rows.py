"""Rows whose keys and values are a transformers cache each, cropped to what is still true.

Owns the rows' tokens, which row a prompt continues, and the byte budget. Never runs a network.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import torch

from fimble_model.engine.prefix import is_worth_moving, n_common_tokens
from fimble_model.engine.protocol import TokenId

__all__ = ["CacheKind", "CroppedRow", "CroppedRows"]


class CacheKind(enum.Enum):
    """What a network's cache allows. A CARRIED one only goes on: a recurrent state, say."""

    CROPPED = enum.auto()
    CARRIED = enum.auto()
    NONE = enum.auto()


class CroppedRow:
    """One row. `past` is a transformers cache of the first `n_held` of its tokens, or None.

    Rolling back only drops tokens; the cache is cropped when the network needs it next, or dropped
    where it cannot be.
    """

    def __init__(self, capacity: int, kind: CacheKind = CacheKind.CROPPED) -> None:
        self.capacity = capacity
        self._kind = kind
        self.token_ids: list[TokenId] = []
        self.past: Any = None
        self.n_held = 0

    def truncate(self, n_tokens: int) -> None:
        """Roll back to the first `n_tokens` slots."""
        del self.token_ids[n_tokens:]

    def crop(self) -> None:
        """Have the cache hold nothing beyond the row's tokens."""
        n_true = len(self.token_ids)
        if self.past is not None and self.n_held > n_true:
            if self._kind is CacheKind.CROPPED:
                _cut(self.past, n_true)
                self.n_held = n_true
            else:
                self.drop_past()
        if self.n_held == 0:
            self.past = None

    def drop_past(self) -> None:
        """Forget the keys and values: the next pass computes them anew."""
        self.past, self.n_held = None, 0


class CroppedRows:
    """Implements `SlotCache`. Kept rows lie in order of their last use.

    Keeps the invariant that the slots promised to rows in use, and those of kept rows, together
    fit the budget. A row whose cache can only be carried on is reused by a prompt that begins with
    all of its tokens; one that rolls back is computed anew.
    """

    def __init__(
        self,
        *,
        max_tokens: int,
        bytes_per_token: int,
        budget_bytes: int,
        device: torch.device,
        kind: CacheKind,
        bytes_per_row: int = 0,
    ) -> None:
        self.budget_bytes = budget_bytes
        self._kind = kind
        self._device = device
        self._bytes_per_token = bytes_per_token
        self._bytes_per_row = bytes_per_row
        self._max_tokens = max_tokens
        self._kept: list[CroppedRow] = []
        self._in_use: list[CroppedRow] = []

    @property
    def device(self) -> torch.device:
        """Where the keys and values are."""
        return self._device

    @property
    def n_bytes(self) -> int:
        """Bytes of all keys and values."""
        rows = (*self._kept, *self._in_use)
        return sum(self._n_bytes_of(row.n_held) for row in rows if row.n_held)

    @property
    def n_rows_in_use(self) -> int:
        """Rows that were acquired and not released."""
        return len(self._in_use)

    @property
    def max_row_tokens(self) -> int:
        """The longest row that could ever be served."""
        left_bytes = max(self.budget_bytes - self._bytes_per_row, 0)
        return min(self._max_tokens, left_bytes // max(self._bytes_per_token, 1))

    def n_cached_tokens(self, token_ids: Sequence[TokenId]) -> int:
        """How many of a prompt's first tokens some row holds."""
        return self._find_best(token_ids)[1]

    def try_acquire(self, token_ids: Sequence[TokenId], n_slots: int) -> CroppedRow | None:
        """A row that holds as much of the prompt as there is; None where there is no room."""
        if self._n_promised_bytes + self._n_bytes_of(n_slots) > self.budget_bytes:
            return None
        best, n_found = self._find_best(token_ids)
        row = CroppedRow(n_slots, self._kind)
        if best is not None:
            self._take_over(row, best, n_found)
        self._in_use.append(row)
        self._drop_oldest()
        return row

    def release(self, row: CroppedRow) -> None:
        """End a row's use and keep what it holds, as the one used last."""
        self._in_use.remove(row)
        row.crop()
        row.truncate(row.n_held)
        if row.token_ids and self._kind is not CacheKind.NONE:
            self._kept.append(row)
            self._drop_oldest()

    def discard(self, row: CroppedRow) -> None:
        """End a row's use and drop what it holds."""
        self._in_use.remove(row)
        row.drop_past()

    def drop_kept(self) -> None:
        """Drop all that no row in use holds."""
        self._kept.clear()

    def _take_over(self, row: CroppedRow, best: CroppedRow, n_found: int) -> None:
        """Move a kept row's cache where it goes on, or copy what is shared of it."""
        row.token_ids = best.token_ids[:n_found]
        n_cached_tokens = len(best.token_ids)
        # What is only carried on is shared whole, and so is worth moving.
        if best in self._kept and is_worth_moving(
            n_shared_tokens=n_found, n_cached_tokens=n_cached_tokens
        ):
            self._kept.remove(best)
            row.past, row.n_held = best.past, best.n_held
        else:
            row.past, row.n_held = _copy(best.past, n_found), n_found
        row.crop()

    def _drop_oldest(self) -> None:
        """Keep within the budget: the row that was not used for longest goes first."""
        left_bytes = self.budget_bytes - self._n_promised_bytes
        while self._kept and sum(self._n_bytes_of(row.n_held) for row in self._kept) > left_bytes:
            del self._kept[0]

    @property
    def _n_promised_bytes(self) -> int:
        return sum(self._n_bytes_of(row.capacity) for row in self._in_use)

    def _n_bytes_of(self, n_slots: int) -> int:
        return self._bytes_per_row + n_slots * self._bytes_per_token

    def _find_best(self, token_ids: Sequence[TokenId]) -> tuple[CroppedRow | None, int]:
        """The longest match; of equal ones the row used last, kept rows before rows in use."""
        best, n_best = None, 0
        wanted = list(token_ids[: len(token_ids) - 1])
        if self._kind is not CacheKind.CROPPED:
            whole = [row for row in self._kept if row.token_ids == wanted[: row.n_held]]
            best = max(whole, key=lambda row: row.n_held, default=None)
            return best, 0 if best is None else best.n_held
        for row in (*reversed(self._kept), *reversed(self._in_use)):
            n_tokens = min(n_common_tokens(row.token_ids, wanted), row.n_held)
            if n_tokens > n_best:
                best, n_best = row, n_tokens
        return best, n_best


def _cut(past: Any, n_tokens: int) -> None:
    """Keep the first slots of every layer.

    NOTE: `Cache.crop` counts from the start or from the end, by the version of transformers.
    """
    for layer in past.layers:
        if layer.keys is not None and layer.keys.numel():
            layer.keys = layer.keys[..., :n_tokens, :]
            layer.values = layer.values[..., :n_tokens, :]


def _copy(past: Any, n_tokens: int) -> Any:
    """A cache of its own that holds the first slots."""
    from transformers import DynamicCache

    copied = DynamicCache()
    for index, layer in enumerate(past.layers):
        keys, values = layer.keys[..., :n_tokens, :], layer.values[..., :n_tokens, :]
        copied.update(keys, values, index)
    return copied
