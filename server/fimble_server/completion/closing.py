"""Closing what a cut left open: a suggestion never leaves a block of its own without its end.

Owns what is written behind a middle that a limit has cut inside of its own `for (...) {`, and how
much of it goes where nothing sound can be written. Pure; knows nothing of models or modes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimble_server.completion.boundary import Boundary
from fimble_server.completion.reading import OpenPart, Reader
from fimble_server.document.languages import Layout

__all__ = ["close_own_blocks"]

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_INDENT = re.compile(r"[ \t]*")
_NEEDS_SEMICOLONS = frozenset({"java", "c", "cpp", "csharp", "php"})
_STATEMENT_ENDS = (";", "}", ":", "*/")
# A brace behind these is an object's.
_BEFORE_OBJECTS = ("=", "(", ",", ":", "[", "?", "&", "|")
_CLOSING_WORDS = {"if": "fi", "for": "done", "while": "done", "until": "done", "{": "}"}
_UNCLOSABLE_WORDS = frozenset({"repeat", "case"})
_TRY = re.compile(r"\btry\b[^{}]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A beginning of the middle, what is open at its end, and what stands left of the middle."""

    text: str
    opened: Sequence[OpenPart]
    line_left: str
    boundary: Boundary

    def before(self, part: OpenPart) -> str:
        """What stands on the line left of an opened part."""
        start = self.text.rfind("\n", 0, part.offset) + 1
        left = self.line_left if start == 0 else ""
        return left + self.text[start : part.offset]

    def line_start(self, part: OpenPart) -> int:
        return self.text.rfind("\n", 0, part.offset) + 1

    def indent(self, part: OpenPart) -> str:
        """The blanks that the line begins with on which a part is opened."""
        found = _INDENT.match(self.before(part) + "x")
        assert found is not None
        return found.group()


def close_own_blocks(middle: str, boundary: Boundary, line_left: str, max_lines: int) -> str:
    """The middle with its own blocks closed, in at most `max_lines`, or the part that needs none.

    A middle whose own brackets and blocks are all closed comes back as it is.
    """
    reader = Reader(boundary)
    reader.read(middle, is_whole=True)
    if not reader.opened or reader.cut is not None:
        return middle
    if boundary.has_body_below and "\n" not in middle and len(reader.opened) == 1:
        return middle
    ends = [(len(middle.rstrip()), tuple(reader.opened)), *reversed(reader.line_ends)]
    for end, opened in ends:
        cut = _Cut(text=middle[:end], opened=opened, line_left=line_left, boundary=boundary)
        closers = _closers_of(cut)
        if closers is not None and (cut.text + closers).strip().count("\n") < max_lines:
            return cut.text + closers
    return _before(middle, reader, boundary)


def _before(middle: str, reader: Reader, boundary: Boundary) -> str:
    """What stands before the statement that is left open, or at least before its bracket."""
    offset = reader.opened[0].offset
    line_start = middle.rfind("\n", 0, offset) + 1
    if line_start == 0 and boundary.start_column is None:
        return middle[:offset].rstrip()
    if middle[line_start:offset].strip():
        return middle[:line_start].rstrip()
    header_start = middle.rfind("\n", 0, max(0, line_start - 1)) + 1  # A brace has a line alone.
    if header_start == 0 and boundary.start_column is None:
        return middle[:line_start].rstrip()
    return middle[:header_start].rstrip()


def _closers_of(cut: _Cut) -> str | None:
    """What closes all that is open; None where a statement is not over there."""
    if not cut.opened:
        return ""
    if not cut.text.strip() or not _is_statement_over(cut):
        return None
    closers = ""
    line_start = len(cut.text)
    for part, inner in _from_innermost(cut.opened):
        sign = _closer_of(cut, part, inner)
        if sign is None:
            return None
        is_same_line = cut.line_start(part) == line_start
        closers += sign if is_same_line else f"\n{cut.indent(part)}{sign}"
        line_start = cut.line_start(part)
    needs_semicolon = cut.boundary.language.language_id in _NEEDS_SEMICOLONS
    return closers + ";" if needs_semicolon and closers.endswith(")") else closers


def _from_innermost(opened: Sequence[OpenPart]) -> Iterator[tuple[OpenPart, OpenPart | None]]:
    """Each opened part and the one opened in it."""
    for index in range(len(opened) - 1, -1, -1):
        yield opened[index], opened[index + 1] if index + 1 < len(opened) else None


def _is_statement_over(cut: _Cut) -> bool:
    """True where the last line has a statement's end and is not what opens the block."""
    innermost, language = cut.opened[-1], cut.boundary.language
    if cut.text.endswith("\\"):
        return False
    last_line = cut.text.rfind("\n") + 1
    if innermost.offset >= last_line:
        return False
    if innermost.sign in "([" or (innermost.sign == "{" and _is_object(cut, innermost)):
        return cut.text.endswith(",")
    is_ended = cut.text.endswith(_STATEMENT_ENDS)
    return is_ended or language.language_id not in _NEEDS_SEMICOLONS


def _is_object(cut: _Cut, part: OpenPart) -> bool:
    before = cut.before(part).rstrip()
    is_braced = cut.boundary.language.layout is Layout.BRACES
    return (
        not is_braced
        or before.endswith(_BEFORE_OBJECTS)
        or bool(re.search(r"\bnew\b[^)]*$", before))
    )


def _closer_of(cut: _Cut, part: OpenPart, inner: OpenPart | None) -> str | None:
    """The closer of one part; None where more than a closer is missing there."""
    language = cut.boundary.language
    if part.sign not in _PAIRS:
        if part.sign in _UNCLOSABLE_WORDS:
            return None
        shell_word = _CLOSING_WORDS.get(part.sign)
        return shell_word if language.has_case_parentheses else "end"
    is_around_block = inner is not None and cut.line_start(inner) == cut.line_start(part)
    if part.sign == "(" and not is_around_block and language.layout is Layout.BRACES:
        return None
    if part.sign == "{" and _TRY.search(cut.before(part)):
        return None
    needs_semicolon = language.language_id in _NEEDS_SEMICOLONS
    if needs_semicolon and part.sign == "{" and _is_object(cut, part):
        return None
    return _PAIRS[part.sign]
