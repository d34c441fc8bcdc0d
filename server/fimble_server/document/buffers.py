"""Immutable text of one open file, and how an editor's changes make the next one.

Owns the text and its lines. Never knows LSP types, disk or time. Odd changes never fail: a
reversed range is turned round, places outside the text are moved to its nearest end, places
inside a character to the character's start, halves of a surrogate pair that meet are joined.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fimble_server.document.differences import find_difference
from fimble_server.document.line_index import LineIndex, build_line_index
from fimble_server.document.positions import (
    CharOffset,
    Position,
    PositionUnit,
    chars_to_column,
    column_to_chars,
)

__all__ = [
    "AppliedEdit",
    "Buffer",
    "Change",
    "EditedBuffer",
    "RangeEdit",
    "TextEdit",
    "WholeText",
    "apply_changes",
]

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEdit:
    """Replace the characters `[start, end)` by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeEdit:
    """Replace what lies between two places, whose columns count in `unit`, by `text`."""

    start: Position
    end: Position
    unit: PositionUnit
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeText:
    """Replace all the text."""

    text: str


Change = TextEdit | RangeEdit | WholeText


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedEdit:
    """What a change did: at `start`, `removed` went and `inserted` came."""

    start: CharOffset
    removed: str = field(repr=False)
    inserted: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """One version of one open file. Offsets are characters: in `😀x` the `x` is at 1."""

    uri: str
    language_id: str
    version: int
    text: str = field(repr=False)
    # Derived from the text; handed over by `apply_changes`, which knows it without reading.
    line_index: LineIndex | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the line index where it was not handed over."""
        if self.line_index is None:
            object.__setattr__(self, "text", _join_surrogates(self.text))
            object.__setattr__(self, "line_index", build_line_index(self.text))

    @property
    def n_lines(self) -> int:
        """At least 1; a text that ends in a line end has an empty last line."""
        return self._lines.n_lines

    def line_start(self, line: int) -> CharOffset:
        """Where a line begins. Lines beyond the last one begin at the text's end."""
        if line >= self._lines.n_lines:
            return CharOffset(len(self.text))
        return CharOffset(self._lines.start_of(max(0, line)))

    def line_end(self, line: int) -> CharOffset:
        """Where a line's text ends, before its line end characters."""
        start, end = self.line_start(line), self.line_start(line + 1)
        if line + 1 >= self._lines.n_lines:
            return end
        n_end_chars = 2 if end - start >= 2 and self.text[end - 2 : end] == "\r\n" else 1
        return CharOffset(end - n_end_chars)

    def line_text(self, line: int) -> str:
        """A line without its line end."""
        return self.text[self.line_start(line) : self.line_end(line)]

    def line_at(self, offset: int) -> int:
        """The line that holds a character offset."""
        return self._lines.line_at(self._clamped(offset))

    def offset_at(self, position: Position, unit: PositionUnit) -> CharOffset:
        """The character offset of an editor's place, moved into the text as LSP has it.

        A column beyond the line is the line's end; a line beyond the text is the text's end.
        """
        if position.line < 0:
            return CharOffset(0)
        if position.line >= self._lines.n_lines:
            return CharOffset(len(self.text))
        n_chars = column_to_chars(self.line_text(position.line), position.column, unit)
        return CharOffset(self.line_start(position.line) + n_chars)

    def position_at(self, offset: int, unit: PositionUnit) -> Position:
        """The editor's name of a character offset; between CR and LF it is the line's end."""
        line = self.line_at(offset)
        n_chars = self._clamped(offset) - self.line_start(line)
        return Position(line, chars_to_column(self.line_text(line), n_chars, unit))

    def line_break_at(self, offset: int) -> str:
        r"""The line end that new lines at `offset` should have: `\n`, `\r\n` or `\r`.

        That of the line at the offset, else of the one above, else `\n`.
        """
        line = self.line_at(offset)
        for neighbour in (line, line - 1):
            if 0 <= neighbour < self.n_lines - 1:
                return self.text[self.line_end(neighbour) : self.line_start(neighbour + 1)]
        return "\n"

    def apply(self, changes: Sequence[Change], version: int) -> Buffer:
        """The buffer after changes, each of which names places in what the one before left."""
        return apply_changes(self, changes, version).buffer

    @property
    def _lines(self) -> LineIndex:
        assert self.line_index is not None, "__post_init__ builds the line index"
        return self.line_index

    def _clamped(self, offset: int) -> int:
        return min(max(0, offset), len(self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedBuffer:
    """The buffer after some changes, and what each of them did."""

    buffer: Buffer
    edits: tuple[AppliedEdit, ...]


def apply_changes(buffer: Buffer, changes: Sequence[Change], version: int) -> EditedBuffer:
    """Apply changes in order; each names places in the text that the one before left.

    A whole new text counts as one edit of what differs, so that a client that always sends
    everything still leaves a history of small edits.
    """
    edits: list[AppliedEdit] = []
    for change in changes:
        edit = _joined_at_seams(buffer.text, _resolve(buffer, change))
        removed = buffer.text[edit.start : edit.end]
        edits.append(AppliedEdit(start=CharOffset(edit.start), removed=removed, inserted=edit.text))
        buffer = _replaced(buffer, edit)
    return EditedBuffer(buffer=dataclasses.replace(buffer, version=version), edits=tuple(edits))


def _resolve(buffer: Buffer, change: Change) -> TextEdit:
    """The change in character offsets inside the text, its start not after its end."""
    match change:
        case WholeText():
            difference = find_difference(buffer.text, _join_surrogates(change.text))
            start, end, text = difference
        case RangeEdit():
            start = buffer.offset_at(change.start, change.unit)
            end = buffer.offset_at(change.end, change.unit)
            text = change.text
        case TextEdit():
            start, end, text = change.start, change.end, change.text
    n_chars = len(buffer.text)
    start, end = (min(max(0, offset), n_chars) for offset in (start, end))
    return TextEdit(start=min(start, end), end=max(start, end), text=text)


def _replaced(buffer: Buffer, edit: TextEdit) -> Buffer:
    text = "".join((buffer.text[: edit.start], edit.text, buffer.text[edit.end :]))
    index = buffer._lines.edited(
        start=edit.start, end=edit.end, n_inserted=len(edit.text), text=text
    )
    return dataclasses.replace(buffer, text=text, line_index=index)


def _joined_at_seams(text: str, edit: TextEdit) -> TextEdit:
    """The edit widened so that halves of a surrogate pair which it brings together are one."""
    start, end, inserted = edit.start, edit.end, edit.text
    if text.isascii() and inserted.isascii():
        return edit
    if start > 0 and _is_surrogate(text[start - 1]):
        start -= 1
        inserted = text[start] + inserted
    if end < len(text) and _is_surrogate(text[end]):
        inserted += text[end]
        end += 1
    if not _SURROGATE.search(inserted):
        return edit
    return TextEdit(start=start, end=end, text=_join_surrogates(inserted))


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _join_surrogates(text: str) -> str:
    """The text with every high half that meets its low half made one character."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
