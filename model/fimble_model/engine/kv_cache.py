"""Keys and values of every row, kept after the row ends so that the next prompt can use them.

Owns the buffers, the byte budget and what is dropped first. Slots are matched by token ids
alone: a slot is reused only where it and all before it hold the same tokens. Never runs the
network and never decides which row runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.prefix import is_worth_moving, n_common_tokens
from fimble_model.engine.protocol import TokenId
from fimble_model.network.tiles import BLOCK_SLOTS

__all__ = ["DEFAULT_CACHE_BYTES", "KvCache", "KvLayout", "KvRow"]

DEFAULT_CACHE_BYTES = 256 * 2**20
_LEAST_CAPACITY_TOKENS = 256


def _whole_blocks(n_tokens: int) -> int:
    """At least `n_tokens` slots, in the blocks that `attend_cached` reads."""
    return -(-n_tokens // BLOCK_SLOTS) * BLOCK_SLOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class KvLayout:
    """The shape of one row's buffer. `max_tokens` is the model's context."""

    n_layers: int
    n_key_heads: int
    head_size: int
    max_tokens: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        """Bytes of one slot over all layers, keys and values together."""
        n_numbers = 2 * self.n_layers * self.n_key_heads * self.head_size
        return n_numbers * torch.empty((), dtype=self.dtype).element_size()

    def capacity_for(self, n_tokens: int) -> int:
        """Slots to allocate: a quarter more than asked, so that a growing row is copied seldom."""
        assert n_tokens <= self.max_tokens, "a row longer than the context"
        wanted = max(_LEAST_CAPACITY_TOKENS, n_tokens + n_tokens // 4)
        return _whole_blocks(min(wanted, self.max_tokens))


class KvRow:
    """One row's slots. Slot i holds the key and value of `token_ids[i]`, in every layer.

    Slots from `len(token_ids)` on are scratch: a pass writes there, and `extend` keeps them.
    They hold finite numbers from the start, for attention multiplies them by zero.
    """

    def __init__(self, layout: KvLayout, capacity: int) -> None:
        self.capacity = capacity
        self.n_bytes = capacity * layout.bytes_per_token
        self.token_ids: list[TokenId] = []
        shape = (layout.n_layers, 2, layout.n_key_heads, capacity, layout.head_size)
        # Zeros, not whatever lies there: attention weighs scratch slots by 0, and 0 * NaN is NaN.
        self._slots = torch.zeros(shape, dtype=layout.dtype, device=layout.device)
        # Views made once: indexing a tensor costs microseconds, and a pass does it every layer.
        self.layers: tuple[tuple[Tensor, Tensor], ...] = tuple(
            (keys_KSD, values_KSD) for keys_KSD, values_KSD in self._slots
        )

    def extend(self, token_ids: Sequence[TokenId]) -> None:
        """Keep the next slots, which a pass has written for these tokens."""
        self.token_ids.extend(token_ids)
        assert len(self.token_ids) <= self.capacity, "a row outgrew its slots"

    def truncate(self, n_tokens: int) -> None:
        """Roll back to the first `n_tokens` slots."""
        del self.token_ids[n_tokens:]

    def copy_start(self, source: KvRow, n_tokens: int) -> None:
        """Become the first `n_tokens` slots of another row."""
        self._slots[..., :n_tokens, :].copy_(source._slots[..., :n_tokens, :])
        self.token_ids = source.token_ids[:n_tokens]


class _Match(NamedTuple):
    row: KvRow
    n_tokens: int


class KvCache:
    """All rows of one model, in use or kept, within `budget_bytes`.

    Keeps the invariants that a row in use is never dropped or changed by another, and that the
    bytes of all rows never exceed the budget. Kept rows lie in order of their last use.
    """

    def __init__(self, layout: KvLayout, budget_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.layout = layout
        self.budget_bytes = budget_bytes
        n_affordable = budget_bytes // layout.bytes_per_token
        self._largest_capacity = n_affordable // BLOCK_SLOTS * BLOCK_SLOTS
        self._kept: list[KvRow] = []
        self._in_use: list[KvRow] = []

    @property
    def n_bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(row.n_bytes for row in (*self._kept, *self._in_use))

    @property
    def n_rows_in_use(self) -> int:
        """Rows that were acquired and not released."""
        return len(self._in_use)

    @property
    def max_row_tokens(self) -> int:
        """The longest row that could ever be served."""
        return min(self.layout.max_tokens, self._largest_capacity)

    def n_cached_tokens(self, token_ids: Sequence[TokenId]) -> int:
        """How many of a prompt's first tokens some row holds."""
        best = self._find_best(token_ids, (*self._kept, *self._in_use))
        return best.n_tokens if best else 0

    def try_acquire(self, token_ids: Sequence[TokenId], n_slots: int) -> KvRow | None:
        """A row with at least `n_slots` slots that holds as much of the prompt as there is.

        Its `token_ids` say what it holds: always less than the whole prompt, because the
        network must see the last token to say what follows. None where rows in use leave no room.
        """
        best = self._find_best(token_ids, (*self._kept, *self._in_use))
        moved = best.row if best and best.row in self._kept and _is_worth_moving(best) else None
        if moved:
            self._kept.remove(moved)
        row = self._take_or_allocate(moved, n_slots)
        if row is None:
            if moved:
                self._kept.append(moved)
            return None
        if best and row is not best.row:
            row.copy_start(best.row, best.n_tokens)
        elif best:
            row.truncate(best.n_tokens)
        self._in_use.append(row)
        return row

    def _take_or_allocate(self, moved: KvRow | None, n_slots: int) -> KvRow | None:
        if moved and moved.capacity >= n_slots:
            return moved
        capacity = min(self.layout.capacity_for(n_slots), self._largest_capacity)
        # What is dropped here may be the source of the copy: its buffer lives on until then.
        if not self._make_room(capacity * self.layout.bytes_per_token):
            return None
        return KvRow(self.layout, capacity)

    def release(self, row: KvRow) -> None:
        """End a row's use and keep what it holds, as the one used last."""
        self._in_use.remove(row)
        if row.token_ids:
            self._kept.append(row)

    def discard(self, row: KvRow) -> None:
        """End a row's use and drop what it holds."""
        self._in_use.remove(row)

    def _find_best(self, token_ids: Sequence[TokenId], rows: Sequence[KvRow]) -> _Match | None:
        wanted = list(token_ids[: len(token_ids) - 1])
        matches = (_Match(row, n_common_tokens(row.token_ids, wanted)) for row in rows)
        best = max(matches, key=lambda match: match.n_tokens, default=None)
        return best if best and best.n_tokens else None

    def _make_room(self, n_bytes: int) -> bool:
        in_use_bytes = sum(row.n_bytes for row in self._in_use)
        if in_use_bytes + n_bytes > self.budget_bytes:
            return False
        while self.n_bytes + n_bytes > self.budget_bytes:
            self._kept.pop(0)
        return True


def _is_worth_moving(match: _Match) -> bool:
    return is_worth_moving(n_shared_tokens=match.n_tokens, n_cached_tokens=len(match.row.token_ids))
