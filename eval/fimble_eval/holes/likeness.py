"""How near a filling came to what its author wrote.

Owns the scorers. Pure. Two are exact and differ in what they forgive: the strict one nothing,
the other, SantaCoder's, blanks at the ends and all after the first line.
"""

from __future__ import annotations

from fimble_server.completion.overlap import is_only_closers

__all__ = ["edit_similarity", "first_line_stripped", "is_same_first_line", "says_something"]


def first_line_stripped(text: str) -> str:
    r"""The first line without blanks around it.

    >>> first_line_stripped("  x = 1  \ny")
    'x = 1'
    """
    return text.partition("\n")[0].strip()


def is_same_first_line(written: str, wanted: str) -> bool:
    """Whether the first lines agree but for blanks around them."""
    return first_line_stripped(written) == first_line_stripped(wanted)


def says_something(wanted: str) -> bool:
    """False where a closer or two are all that was missing on the first line."""
    return not is_only_closers(first_line_stripped(wanted))


def edit_similarity(written: str, wanted: str) -> float:
    """1 - Levenshtein distance / length of the longer text; 1 for two empty ones.

    >>> edit_similarity("kitten", "sitting")
    0.5714285714285714
    """
    longest = max(len(written), len(wanted))
    return 1.0 - _distance(written, wanted) / longest if longest else 1.0


def _distance(left: str, right: str) -> int:
    """Levenshtein's, a column of the table at a time in the bits of integers.

    Bit i of `up` and `down` says whether the cell i is one more or one less than the cell above
    it (Myers 1999; in the form of Hyyrö 2001, figure 8).
    """
    if not left:
        return len(right)
    places: dict[str, int] = {}
    for index, sign in enumerate(left):
        places[sign] = places.get(sign, 0) | 1 << index
    mask, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    up, down, distance = mask, 0, len(left)
    for sign in right:
        equal = places.get(sign, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right_up = (down | ~(diagonal | up)) & mask
        right_down = up & diagonal
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = (right_up << 1 | 1) & mask
        right_down = right_down << 1 & mask
        up = (right_down | ~(diagonal | right_up)) & mask
        down = right_up & diagonal
    return distance
