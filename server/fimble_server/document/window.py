"""Which stretches of text above the cursor have to be read to know what is open there.

Owns the choice: the lines from the innermost header on, and of each header further out its own
line. A method of a long class costs no more than a function. Knows columns and comments only.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from fimble_server.document.grammars import TEXT_NODES
from fimble_server.document.lexemes import n_columns
from fimble_server.document.parsed import Parsed

__all__ = ["Stretch", "stretches_above"]

_MAX_WALK_CHARS = 20_000  # guessed: headers further up are left to the tree
_WALK_CHARS = 2_000
_MAX_BODY_CHARS = 2_000  # guessed: of a longer flat body, the end is enough
_MAX_PLAIN_CHARS = 6_000  # guessed: without a tree, read this much and hope
_LABEL = re.compile(r"(?:case\b|default\b|\w+\s*:\s*$)")
_INDENT = re.compile(r"[ \t\f]*")


class Stretch(NamedTuple):
    """`[start, end)` in characters. A header's stretch may end sooner: with its brackets."""

    start: int
    end: int
    is_header: bool


class _Line(NamedTuple):
    start: int
    code: int
    column: int


def stretches_above(parsed: Parsed, cursor: int) -> list[Stretch]:
    """The stretches in the order of the text; the last one ends at the cursor."""
    text = parsed.text
    if parsed.tree is None:
        start = max(0, cursor - _MAX_PLAIN_CHARS)
        start = text.find("\n", start, cursor) + 1 if start else 0
        return [Stretch(start, cursor, is_header=False)]
    first, bound = _first_line(parsed, cursor)
    body_start, headers = first, []
    is_body_done = bound == 0
    while bound > 0 and (line := _try_header(parsed, first, bound, cursor)) is not None:
        if not is_body_done:
            far = cursor - line.start > _MAX_BODY_CHARS
            body_start = _nearby_start(parsed, cursor, bound, line.start) if far else line.start
            is_body_done = True
        if line.start < body_start:
            headers.append(line.start)
        first, bound = line.start, line.column
    if not is_body_done and cursor - body_start > 0:
        body_start = _nearby_start(parsed, cursor, bound, max(0, cursor - _MAX_BODY_CHARS))
    starts = [*reversed(headers), body_start]
    ends = [*starts[1:], cursor]
    return [
        Stretch(start, end, is_header=end != cursor or start in headers)
        for start, end in zip(starts, ends, strict=True)
    ]


def _line_before(text: str, start: int) -> _Line:
    """The line that ends right before `start`, which begins a line and is above 0."""
    line_start = text.rfind("\n", 0, start - 1) + 1
    found = _INDENT.match(text, line_start)
    assert found is not None
    return _Line(line_start, found.end(), n_columns(found.group()))


def _is_code(parsed: Parsed, line: _Line) -> bool:
    """False for blank lines, comments, preprocessor lines and labels: they say no depth."""
    text = parsed.text
    if line.code >= len(text) or text[line.code] in "\r\n":
        return False
    if text.startswith(parsed.language.line_comments, line.code):
        return False
    if parsed.language.block_comments:
        end = text.find("\n", line.code)
        piece = text[line.code : end if end != -1 else len(text)]
        return not (piece.startswith(("#", "*", "/*")) or _LABEL.match(piece))
    return True


def _begins_inside_brackets(text: str, line: _Line) -> bool:
    return text[line.code] in ")]}{"


def _first_line(parsed: Parsed, cursor: int) -> tuple[int, int]:
    """Where the walk up begins, and how far what stands there is indented."""
    text = parsed.text
    own_start = text.rfind("\n", 0, cursor) + 1
    found = _INDENT.match(text, own_start)
    assert found is not None
    own = _Line(own_start, found.end(), n_columns(found.group()))
    is_blank = own.code >= cursor
    if not is_blank and not _begins_inside_brackets(text, own):
        return _outside_text(parsed, own)
    line = own
    while line.start > 0 and cursor - line.start < _MAX_WALK_CHARS:
        line = _line_before(text, line.start)
        if _is_code(parsed, line) and not _begins_inside_brackets(text, line):
            start, column = _outside_text(parsed, line)
            return start, column if is_blank else min(column, own.column or column)
    return line.start, line.column


def _outside_text(parsed: Parsed, line: _Line) -> tuple[int, int]:
    """The line itself, or where the string or comment that it continues begins."""
    node = parsed.node_at(line.code)
    while node is not None and node.type in TEXT_NODES:
        if parsed.char_offset(node.start_byte) < line.start:
            start = parsed.text.rfind("\n", 0, parsed.char_offset(node.start_byte)) + 1
            found = _INDENT.match(parsed.text, start)
            assert found is not None
            line = _Line(start, found.end(), n_columns(found.group()))
        node = node.parent
    return line.start, line.column


def _try_header(parsed: Parsed, first: int, bound: int, cursor: int) -> _Line | None:
    """The nearest line above that is indented less than `bound`, from where it truly begins."""
    text, start, column = parsed.text, first, bound - 1
    lowest = max(0, cursor - _MAX_WALK_CHARS)
    while (found := _try_start_above(text, start, lowest, column)) is not None:
        start = found
        line = _line_before(text, text.find("\n", start) + 1)
        if line.column > column or not _is_code(parsed, line):
            continue
        if _outside_text(parsed, line)[0] != line.start:
            continue
        if not _begins_inside_brackets(text, line):
            return line
        column = line.column
    return _Line(0, 0, 0) if lowest == 0 < first and text[0] == "{" else None


def _try_start_above(text: str, end: int, lowest: int, column: int) -> int | None:
    """Where the nearest line above starts that may be indented by `column` at most.

    Not a closer indented by just that much: it says nothing new.
    """
    pattern = _lines_within(column)
    while end > lowest:
        start = text.rfind("\n", 0, max(lowest, end - _WALK_CHARS)) + 1
        starts = [found.start() for found in pattern.finditer(text, start, end)]
        if starts:
            return starts[-1]
        end = start
    return None


@functools.lru_cache(maxsize=64)
def _lines_within(column: int) -> re.Pattern[str]:
    """Lines with something on them after so many spaces at most; of tabs any number."""
    less = rf" {{0,{column - 1}}}[^\s]|" if column else ""
    return re.compile(rf"^(?:{less} {{{column}}}[^\s)\]}}{{]|[ ]*[\t\f])", re.MULTILINE)


def _nearby_start(parsed: Parsed, cursor: int, bound: int, lowest: int) -> int:
    """A line not far above the cursor that begins a statement of the block at the cursor."""
    text = parsed.text
    start = text.find("\n", max(lowest, cursor - _MAX_BODY_CHARS), cursor) + 1
    while 0 < start < cursor:
        found = _INDENT.match(text, start)
        assert found is not None
        line = _Line(start, found.end(), n_columns(found.group()))
        is_statement = line.column <= bound and _is_code(parsed, line)
        is_statement = is_statement and not _begins_inside_brackets(text, line)
        if is_statement and _outside_text(parsed, line)[0] == start:
            return start
        start = text.find("\n", start, cursor) + 1
    return text.rfind("\n", 0, cursor) + 1
