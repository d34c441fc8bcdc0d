"""How much of a new prompt is cached already, and what to do about it.

Owns the comparison of token sequences and the choice between moving and copying a cached row.
Pure: sees token ids and numbers, never tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

from fimble_model.engine.protocol import TokenId

__all__ = ["is_worth_moving", "n_common_tokens"]

_FIRST_SPAN = 16


def n_common_tokens(left: Sequence[TokenId], right: Sequence[TokenId]) -> int:
    """Length of the longest common prefix of two sequences of one type.

    By slice comparisons, which run in C: of spans that double until one differs, for most prompts
    differ early, and then of its halves.

    >>> n_common_tokens([1, 2, 3], [1, 2, 4, 5])
    2
    """
    # Invariant: [0, n_equal) is equal, and nothing from n_limit on is part of the answer.
    n_equal, n_limit = 0, min(len(left), len(right))
    if not n_limit or left[0] != right[0]:
        return 0
    span = _FIRST_SPAN
    while n_equal < n_limit:
        end = min(n_equal + span, n_limit)
        if left[n_equal:end] != right[n_equal:end]:
            n_limit = end
            break
        n_equal, span = end, 4 * span
    else:
        return n_limit
    while n_limit - n_equal > 1:
        middle = (n_equal + n_limit) // 2
        if left[n_equal:middle] == right[n_equal:middle]:
            n_equal = middle
        else:
            n_limit = middle
    return n_equal


def is_worth_moving(*, n_shared_tokens: int, n_cached_tokens: int) -> bool:
    """Whether a finished row's slots go over to a new row rather than being copied.

    A row that continues the same line of typing shares nearly everything. Where most would be
    thrown away, the row belongs to another place or file, and may be wanted there again.
    """
    return 2 * n_shared_tokens >= n_cached_tokens
