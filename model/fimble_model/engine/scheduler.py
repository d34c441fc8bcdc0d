"""Which rows take part in the next pass, and with how many tokens.

Owns the order of rows and the split of a pass's token budget. Pure: sees numbers, never
tensors, requests or time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.protocol import RequestId

__all__ = ["PassLimits", "RowDemand", "Share", "choose_limits", "plan_pass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassLimits:
    """`max_rows` run at once; one pass computes about `max_tokens` tokens."""

    max_rows: int = 16
    max_tokens: int = 256


def choose_limits(*, n_parameters: int, is_on_cpu: bool) -> PassLimits:
    """Limits for a network of some size: long passes are fast, short ones let go soon.

    A cancelled row computes until its pass ends, and rows beside a long prompt wait as long.
    On two cores a pass of these sizes takes some 50 ms; a GPU is done with its sooner.

    >>> choose_limits(n_parameters=60_000_000, is_on_cpu=True).max_tokens
    64
    """
    if not is_on_cpu:
        return PassLimits(max_tokens=2048)
    n_tokens = _TOKEN_PARAMETERS_A_PASS // n_parameters // 32 * 32
    return PassLimits(max_tokens=min(max(n_tokens, 32), 256))


_TOKEN_PARAMETERS_A_PASS = 4_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDemand:
    """A running row: how many of its known tokens are not computed yet (1 while decoding)."""

    request_id: RequestId
    n_pending_tokens: int


class Share(NamedTuple):
    """A row's part of the pass: its next `n_tokens` pending tokens."""

    request_id: RequestId
    n_tokens: int


def plan_pass(demands: Sequence[RowDemand], max_tokens: int) -> tuple[Share, ...]:
    """Shares of the next pass; `demands` holds the oldest row first.

    Rows that need one token always get it, so that no stream stalls. What is left of
    `max_tokens` goes to the longer ones, the newest first: it is what the user waits for.
    At least one row advances in every pass.
    """
    shares = [Share(row.request_id, 1) for row in demands if row.n_pending_tokens == 1]
    n_left = max(max_tokens - len(shares), 0 if shares else 1)
    for row in reversed(demands):
        if row.n_pending_tokens > 1 and n_left > 0:
            n_tokens = min(row.n_pending_tokens, n_left)
            shares.append(Share(row.request_id, n_tokens))
            n_left -= n_tokens
    return tuple(shares)
