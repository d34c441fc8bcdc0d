"""Columns of one line in the three units that editors count in, and characters.

Owns the conversion between them. Never knows lines of a file, buffers or LSP types.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, NewType

__all__ = ["CharOffset", "Position", "PositionUnit", "chars_to_column", "column_to_chars"]

CharOffset = NewType("CharOffset", int)
"""Characters (code points) from the start of a text: in `a😀b` the `b` is at 2."""


class PositionUnit(enum.Enum):
    """What a column counts. The values are LSP's names of the position encodings."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


class Position(NamedTuple):
    """A place as editors name it: both count from 0, `column` in a unit named beside it."""

    line: int
    column: int


def column_to_chars(line_text: str, column: int, unit: PositionUnit) -> int:
    """Characters of `line_text` left of `column`, which counts in `unit`.

    A column below 0 is 0, one beyond the line is its end, one inside a character its start.

    >>> [column_to_chars("a😀b", column, PositionUnit.UTF16) for column in range(6)]
    [0, 1, 1, 2, 3, 3]
    """
    if column <= 0:
        return 0
    if unit is PositionUnit.UTF32 or line_text.isascii():
        return min(column, len(line_text))
    if unit is PositionUnit.UTF8:
        return _chars_in_utf8(line_text.encode("utf-8", "surrogatepass"), column)
    return _chars_in_utf16(line_text.encode("utf-16-le", "surrogatepass"), column)


def chars_to_column(line_text: str, n_chars: int, unit: PositionUnit) -> int:
    """The column in `unit` after the first `n_chars` characters of `line_text`.

    >>> chars_to_column("a😀b", 2, PositionUnit.UTF8)
    5
    """
    left = line_text[: max(0, n_chars)]
    if unit is PositionUnit.UTF32 or left.isascii():
        return len(left)
    if unit is PositionUnit.UTF8:
        return len(left.encode("utf-8", "surrogatepass"))
    return len(left.encode("utf-16-le", "surrogatepass")) // 2


def _chars_in_utf8(encoded: bytes, n_bytes: int) -> int:
    while n_bytes < len(encoded) and encoded[n_bytes] & 0b1100_0000 == 0b1000_0000:
        n_bytes -= 1
    return len(encoded[:n_bytes].decode("utf-8", "surrogatepass"))


def _chars_in_utf16(encoded: bytes, n_units: int) -> int:
    # The high byte of a unit tells a surrogate's half: D8 to DB opens a pair, DC to DF closes it.
    after, before = 2 * n_units + 1, 2 * n_units - 1
    if after < len(encoded) and 0xDC <= encoded[after] <= 0xDF and 0xD8 <= encoded[before] <= 0xDB:
        n_units -= 1
    return len(encoded[: 2 * n_units].decode("utf-16-le", "surrogatepass"))
