"""Where two texts differ. Pure functions of strings; never knows buffers."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Difference", "find_difference", "n_common_end_chars", "n_common_start_chars"]


class Difference(NamedTuple):
    """`[start, end)` of the old text was replaced by `inserted`."""

    start: int
    end: int
    inserted: str


def n_common_start_chars(left: str, right: str) -> int:
    """How many characters both texts begin with alike.

    >>> n_common_start_chars("a😀b", "a😀c")
    2
    """
    # Slices are compared by memcmp: halving the span beats a loop over characters.
    n_known, n_most = 0, min(len(left), len(right))
    while n_known < n_most:
        middle = (n_known + n_most + 1) // 2
        if left[n_known:middle] == right[n_known:middle]:
            n_known = middle
        else:
            n_most = middle - 1
    return n_known


def n_common_end_chars(left: str, right: str) -> int:
    """How many characters both texts end with alike."""
    n_known, n_most = 0, min(len(left), len(right))
    while n_known < n_most:
        middle = (n_known + n_most + 1) // 2
        if (
            left[len(left) - middle : len(left) - n_known]
            == right[len(right) - middle : len(right) - n_known]
        ):
            n_known = middle
        else:
            n_most = middle - 1
    return n_known


def find_difference(old: str, new: str) -> Difference:
    """The one replaced stretch between what both texts begin and end with.

    >>> find_difference("call()", "call(a)")
    Difference(start=5, end=5, inserted='a')
    """
    n_start = n_common_start_chars(old, new)
    n_end = n_common_end_chars(old[n_start:], new[n_start:])
    return Difference(n_start, len(old) - n_end, new[n_start : len(new) - n_end])
