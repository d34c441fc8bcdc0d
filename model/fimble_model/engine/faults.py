"""What is wrong with a request, and what went wrong with a row, in words that hold no user text.

Owns these words. Never decides what becomes of the row.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence

from fimble_model.engine.protocol import TokenId
from fimble_model.engine.row import Row
from fimble_model.errors import RequestError

__all__ = ["log_fault", "refuse_unknown_ids"]

log = logging.getLogger(__name__)


def refuse_unknown_ids(token_ids: Sequence[TokenId], vocabulary_size: int) -> None:
    """Raise `RequestError` for ids that the network has no embedding for."""
    if min(token_ids) < 0 or max(token_ids) >= vocabulary_size:
        raise RequestError(
            expected=f"token ids from 0 to {vocabulary_size - 1}",
            found=f"ids from {min(token_ids)} to {max(token_ids)}",
            to_do="Build prompts with this engine's own codec.",
        )


def log_fault(message: str, row: Row, error: Exception) -> None:
    """The error's own message is left out: a stop rule's may hold the user's text."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error(message, row.request.request_id, type(error).__name__, where)
