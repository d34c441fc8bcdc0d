"""How much of a new prompt is cached already, and what to do about it.

Owns the comparison of token sequences and the choice between moving and copying a cached row.
Pure: sees token ids and numbers, never tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

from fimble_model.engine.protocol import TokenId

__all__ = ["is_worth_moving", "n_common_tokens"]


def n_common_tokens(left: Sequence[TokenId], right: Sequence[TokenId]) -> int:
    """Length of the longest common prefix of two sequences of one type.

    Halves the span with slice comparisons, which run in C: 11 of them for 2048 tokens.

    >>> n_common_tokens([1, 2, 3], [1, 2, 4, 5])
    2
    """
    # Invariant: [0, n_equal) is equal, and nothing from n_limit on is part of the answer.
    n_equal, n_limit = 0, min(len(left), len(right))
    if left[:n_limit] == right[:n_limit]:
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
