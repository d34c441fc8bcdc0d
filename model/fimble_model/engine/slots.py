"""What the engine asks of the memory of its rows, whoever keeps it.

Owns these protocols. Pages of our own fulfil them (`kv_cache`), and so do the caches of networks
that transformers has built (`backends`). What a row is, only its cache and its runner know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from fimble_model.engine.protocol import TokenId

__all__ = ["SlotCache", "SlotRow"]


class SlotRow(Protocol):
    """One row's tokens. Slot i holds what the network made of `token_ids[i]`."""

    token_ids: list[TokenId]

    def truncate(self, n_tokens: int) -> None:
        """Roll back to the first `n_tokens` slots."""
        ...


class SlotCache(Protocol):
    """The rows of one network: those in use, and those kept so that a next prompt can use them."""

    budget_bytes: int

    @property
    def device(self) -> torch.device:
        """Where the slots are."""
        ...

    @property
    def n_bytes(self) -> int:
        """Bytes of all slots that some row holds."""
        ...

    @property
    def n_rows_in_use(self) -> int:
        """Rows that were acquired and not released."""
        ...

    @property
    def max_row_tokens(self) -> int:
        """The longest row that could ever be served."""
        ...

    def n_cached_tokens(self, token_ids: Sequence[TokenId]) -> int:
        """How many of a prompt's first tokens some row holds."""
        ...

    def try_acquire(self, token_ids: Sequence[TokenId], n_slots: int) -> SlotRow | None:
        """A row of `n_slots` slots that holds as much of the prompt as there is, but not all.

        None where rows in use leave no room.
        """
        ...

    def release(self, row: Any) -> None:
        """End a row's use and keep what it holds, as the one used last."""
        ...

    def discard(self, row: Any) -> None:
        """End a row's use and drop what it holds."""
        ...

    def drop_kept(self) -> None:
        """Drop all that no row in use holds."""
        ...
