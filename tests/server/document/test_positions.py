"""Laws of columns: the same as counting units one by one, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_server.document.positions import PositionUnit, chars_to_column, column_to_chars

LINES = st.text(alphabet="ab\té漢😀\f\u2028\u0085\ud83d\ude00", max_size=12)
UNITS = st.sampled_from(PositionUnit)


def _n_units(character: str, unit: PositionUnit) -> int:
    """Slow and obvious: what one character counts."""
    match unit:
        case PositionUnit.UTF8:
            return len(character.encode("utf-8", "surrogatepass"))
        case PositionUnit.UTF16:
            return 2 if ord(character) > 0xFFFF else 1
        case PositionUnit.UTF32:
            return 1


def _slow_chars(line: str, column: int, unit: PositionUnit) -> int:
    n_units = 0
    for n_chars, character in enumerate(line):
        n_units += _n_units(character, unit)
        if n_units > column:
            return n_chars
    return len(line)


def _is_joined(line: str) -> bool:
    """True where no high half meets its low half: such pairs are one character in a buffer."""
    return "\ud83d\ude00" not in line


@given(LINES.filter(_is_joined), st.integers(-2, 60), UNITS)
def test_columns_are_found_as_if_counted_one_by_one(
    line: str, column: int, unit: PositionUnit
) -> None:
    assert column_to_chars(line, column, unit) == _slow_chars(line, max(0, column), unit)


@given(LINES.filter(_is_joined), UNITS, st.data())
def test_a_place_survives_the_way_there_and_back(
    line: str, unit: PositionUnit, data: st.DataObject
) -> None:
    n_chars = data.draw(st.integers(0, len(line)))
    column = chars_to_column(line, n_chars, unit)
    assert column == sum(_n_units(character, unit) for character in line[:n_chars])
    assert column_to_chars(line, column, unit) == n_chars


@pytest.mark.parametrize(("unit", "column"), [(PositionUnit.UTF16, 2), (PositionUnit.UTF8, 3)])
def test_a_column_inside_a_character_is_its_start(unit: PositionUnit, column: int) -> None:
    assert column_to_chars("a😀b", column, unit) == 1
