"""Laws of buffers: any edits leave what the slow and obvious way leaves, and never fail."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_server.document import buffers
from fimble_server.document.buffers import (
    AppliedEdit,
    Buffer,
    Change,
    RangeEdit,
    TextEdit,
    WholeText,
    apply_changes,
)
from fimble_server.document.positions import CharOffset, Position, PositionUnit
from fimble_testing.marked_text import parse_marked

TEXTS = st.text(alphabet="ab\n\r\té😀\f\u2028\u0085\v", max_size=30)
UNITS = st.sampled_from(PositionUnit)
PLACES = st.builds(Position, st.integers(-1, 12), st.integers(-1, 30))
EDITS = st.one_of(
    st.builds(TextEdit, start=st.integers(-3, 40), end=st.integers(-3, 40), text=TEXTS),
    st.builds(RangeEdit, start=PLACES, end=PLACES, unit=UNITS, text=TEXTS),
    st.builds(WholeText, text=TEXTS),
)


def _buffer(text: str) -> Buffer:
    return Buffer(uri="file:///a.py", language_id="python", version=1, text=text)


def _slow_lines(text: str) -> list[str]:
    """Lines without their ends, as LSP has them."""
    return re.split(r"\r\n|\r|\n", text)


def _slow_offset(text: str, position: Position, unit: PositionUnit) -> int:
    """Slow and obvious: walk the text character by character."""
    if position.line < 0:
        return 0
    line, offset = 0, 0
    while line < position.line:
        found = re.compile(r"\r\n|\r|\n").search(text, offset)
        if found is None:
            return len(text)
        line, offset = line + 1, found.end()
    n_units = 0
    while offset < len(text) and text[offset] not in "\r\n":
        n_units += {
            PositionUnit.UTF8: len(text[offset].encode()),
            PositionUnit.UTF16: len(text[offset].encode("utf-16-le")) // 2,
            PositionUnit.UTF32: 1,
        }[unit]
        if n_units > position.column:
            break
        offset += 1
    return offset


def _slow_apply(text: str, change: Change) -> str:
    match change:
        case WholeText():
            return change.text
        case RangeEdit():
            places = [_slow_offset(text, at, change.unit) for at in (change.start, change.end)]
        case TextEdit():
            places = [min(max(0, at), len(text)) for at in (change.start, change.end)]
    return text[: min(places)] + change.text + text[max(places) :]


@given(TEXTS, st.lists(EDITS, max_size=6))
def test_edits_leave_what_the_slow_way_leaves(text: str, edits: list[Change]) -> None:
    """Text and lines are those of a buffer that is made anew, whatever is edited where."""
    buffer = _buffer(text)
    for version, edit in enumerate(edits, start=2):
        text = _slow_apply(text, edit)
        buffer = buffer.apply([edit], version)
        assert buffer.text == text
        assert buffer.version == version
        starts = [buffer.line_start(line) for line in range(buffer.n_lines)]
        fresh = _buffer(text)
        assert starts == [fresh.line_start(line) for line in range(fresh.n_lines)]
        lines = [buffer.line_text(line) for line in range(buffer.n_lines)]
        assert lines == _slow_lines(text)


@given(TEXTS, st.lists(EDITS, max_size=6))
def test_the_edits_reported_lead_from_the_old_text_to_the_new(
    text: str, edits: list[Change]
) -> None:
    edited = apply_changes(_buffer(text), edits, 2)
    for edit in edited.edits:
        assert text[edit.start :].startswith(edit.removed)
        text = text[: edit.start] + edit.inserted + text[edit.start + len(edit.removed) :]
    assert text == edited.buffer.text


@given(TEXTS, PLACES, UNITS)
def test_places_are_found_as_if_walked_to(text: str, place: Position, unit: PositionUnit) -> None:
    assert _buffer(text).offset_at(place, unit) == _slow_offset(text, place, unit)


@given(TEXTS, UNITS)
def test_every_offset_survives_the_way_there_and_back(text: str, unit: PositionUnit) -> None:
    """Except between CR and LF, which no editor can name: that is the line's end."""
    buffer = _buffer(text)
    for offset in range(len(text) + 1):
        is_between = text[max(0, offset - 1) : offset + 1] == "\r\n" and offset > 0
        back = buffer.offset_at(buffer.position_at(offset, unit), unit)
        assert back == (offset - 1 if is_between else offset)


@pytest.mark.parametrize(
    ("marked", "position"),
    [
        ("a\r\nb<|>", Position(1, 1)),
        ("a\rb<|>", Position(1, 1)),
        ("a\fb\n<|>", Position(1, 0)),
        ("a\u2028b\u0085c\v<|>", Position(0, 6)),
        ("\t😀<|>", Position(0, 3)),
        ("a\n<|>", Position(1, 0)),
    ],
)
def test_lines_end_where_lsp_says(marked: str, position: Position) -> None:
    text, cursor = parse_marked(marked)
    assert _buffer(text).position_at(cursor, PositionUnit.UTF16) == position


def test_halves_of_a_surrogate_pair_that_meet_are_one_character() -> None:
    """Two notifications may bring the halves of one emoji; the columns stay those of UTF-16."""
    buffer = _buffer("ab")
    for at, half in ((1, "\ud83d"), (2, "\ude00")):
        place = Position(0, at)
        edit = RangeEdit(start=place, end=place, unit=PositionUnit.UTF16, text=half)
        buffer = buffer.apply([edit], at)
    assert buffer.text == "a😀b"
    assert buffer.position_at(2, PositionUnit.UTF16) == Position(0, 3)


def test_halves_meet_when_what_stood_between_them_goes() -> None:
    buffer = _buffer("\ud83dx\ude00").apply([TextEdit(start=1, end=2, text="")], 2)
    assert buffer.text == "😀"


def test_a_whole_text_is_reported_as_the_edit_that_it_makes() -> None:
    edited = apply_changes(_buffer("call()\n"), [WholeText(text="call(a)\n")], 2)
    assert edited.edits == (AppliedEdit(start=CharOffset(5), removed="", inserted="a"),)


@pytest.mark.parametrize(
    ("marked", "line_break"),
    [("a<|>\r\nb\n", "\r\n"), ("a\r\nb<|>", "\r\n"), ("a\rb<|>", "\r"), ("<|>", "\n")],
)
def test_new_lines_end_like_the_ones_around_them(marked: str, line_break: str) -> None:
    text, cursor = parse_marked(marked)
    assert _buffer(text).line_break_at(cursor) == line_break


def test_an_old_version_stays_as_it_was() -> None:
    old = _buffer("a\nb\n")
    old.apply([TextEdit(start=0, end=4, text="x")], 2)
    assert (old.text, old.n_lines, old.version) == ("a\nb\n", 3, 1)


def test_a_key_in_a_long_file_does_not_read_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = _buffer("    return some_function_name(self)\n" * 10_000)
    monkeypatch.setattr(buffers, "build_line_index", None)
    for index in range(20):
        at = len(buffer.text) // 2 + index
        buffer = buffer.apply([TextEdit(start=at, end=at, text="x\n"[index % 2])], index)
    monkeypatch.undo()
    assert buffer.n_lines == _buffer(buffer.text).n_lines == 10_011
