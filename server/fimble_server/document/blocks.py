"""The value that says what block the cursor is in, and the columns it is found by.

Owns `Block` and `Line`, and how far lines are indented. Never looks for a block itself: that is
`indentation.py` and `braces.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimble_server.document.languages import BlockKind
from fimble_server.document.lexemes import n_columns
from fimble_server.document.parsed import Parsed

__all__ = [
    "INDENT",
    "MAX_LINES_BELOW",
    "Block",
    "Line",
    "build_block",
    "column_below",
    "header_kind",
    "line_at",
    "own_column",
]

INDENT = re.compile(r"[ \t\f]*")
MAX_LINES_BELOW = 400  # guessed: a gap of more blank lines ends a block
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The innermost block at the cursor.

    `header_column` is how far its header is indented, None at the top level. `body_column` is
    the least indentation of a line that still belongs to it. `is_opened_here` is True where
    the text left of the cursor ends with what opens it. `opener` is the offset of its brace or
    bracket, None where indentation makes the block. `has_closer` says that its closer, a sign or
    a word, stands right of or below the cursor. `is_empty` says that nothing but comments stands
    in it, or, `is_empty_but_docstring`, nothing but the docstring right above the cursor.
    `header_start` is where the header's first line starts.
    """

    kind: BlockKind
    header_column: int | None
    body_column: int
    opener: int | None
    has_closer: bool
    is_empty: bool
    is_opened_here: bool
    is_empty_but_docstring: bool = False
    header_start: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line at the cursor: offsets of its ends, and its text on both sides of the cursor."""

    start: int
    end: int
    left: str
    right: str

    @property
    def is_blank(self) -> bool:
        """True where nothing but space stands on it."""
        return not self.left.strip() and not self.right.strip()


def line_at(text: str, cursor: int) -> Line:
    """The line around a cursor; a carriage return before its end is not part of it."""
    start = text.rfind("\n", 0, cursor) + 1
    end = text.find("\n", cursor)
    end = len(text) if end == -1 else end
    if end > cursor and text[end - 1] == "\r":
        end -= 1
    return Line(start=start, end=end, left=text[start:cursor], right=text[cursor:end])


def build_block(
    kind: BlockKind,
    header_column: int | None,
    body_column: int,
    *,
    opener: int | None = None,
    has_closer: bool = False,
    is_empty: bool = False,
    is_opened_here: bool = False,
    is_empty_but_docstring: bool = False,
    header_start: int | None = None,
) -> Block:
    """A block, with the usual values of what is not said."""
    return Block(
        kind=kind,
        header_column=header_column,
        body_column=body_column,
        opener=opener,
        has_closer=has_closer,
        is_empty=is_empty,
        is_opened_here=is_opened_here,
        is_empty_but_docstring=is_empty_but_docstring,
        header_start=header_start,
    )


def own_column(line: Line) -> int:
    found = INDENT.match(line.left)
    return n_columns(found.group()) if found else 0


def column_below(text: str, offset: int) -> int | None:
    """How far the next line with something on it is indented; None at the end of the text."""
    start = text.find("\n", offset)
    for _ in range(MAX_LINES_BELOW):
        if start == -1:
            return None
        found = INDENT.match(text, start + 1)
        assert found is not None
        end = found.end()
        if end < len(text) and text[end] not in "\r\n":
            return n_columns(found.group())
        start = text.find("\n", end)
    return None


def header_kind(parsed: Parsed, start: int) -> BlockKind | None:
    """What a line opens, by the first word on it; None where that opens nothing."""
    found = INDENT.match(parsed.text, start)
    words = _WORD.findall(parsed.text, found.end() if found else start, start + 200)
    first = next((word for word in words if word not in ("async", "pub", "local")), "")
    return parsed.language.headers.get(first)
