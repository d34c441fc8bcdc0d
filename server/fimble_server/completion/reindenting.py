r"""A middle's lines indented as the file is: with its tabs, or by its own width.

Owns that step. Pure. It touches only what stands before the first sign of later lines, and only
where the file says plainly how it is indented.
"""

from __future__ import annotations

import re
from collections import Counter

from fimble_server.completion.page import Page

__all__ = ["reindent"]

_INDENT = re.compile(r"[ \t]*")
_OPENERS = (":", "{", "(", "[")
_WIDTHS = (2, 3, 4, 8)
_LEAST_LINES = 3  # guessed: fewer lines may be continuations
_LINES_LOOKED_AT = 400


def reindent(text: str, page: Page) -> str:
    r"""The middle with the file's own indentation.

    Tabs become spaces where the file has none, spaces tabs where it has only those; and what the
    middle nests by another width than the file does is nested by the file's.
    """
    first, *later = text.split("\n")
    unit = _unit_of(page) if any(line[:1] in (" ", "\t") for line in later) else None
    if unit is None:
        return text
    own_width = _own_width(page, first, later)
    base = _n_columns(_indent_of(page.line_left), 4 if unit == "\t" else len(unit))
    lines = [_moved(line, unit=unit, base=base, own_width=own_width) for line in later]
    return "\n".join([first, *lines])


def _unit_of(page: Page) -> str | None:
    """A tab, or the spaces by which the file nests most often below an opener."""
    start = max(0, page.text.rfind("\n", 0, max(0, page.cursor - 20_000)))
    lines = [line for line in page.text[start:].split("\n")[:_LINES_LOOKED_AT] if line.strip()]
    indents = [_indent_of(line) for line in lines]
    n_tabs = sum(indent.startswith("\t") for indent in indents)
    n_spaces = sum(indent.startswith("  ") for indent in indents)
    if n_tabs >= _LEAST_LINES and n_spaces == 0:
        return "\t"
    if n_tabs:
        return None
    steps = Counter(
        len(inner) - len(outer)
        for outer, inner, line in zip(indents, indents[1:], lines, strict=False)
        if line.rstrip().endswith(_OPENERS) and len(inner) > len(outer)
    )
    width, n_seen = steps.most_common(1)[0] if steps else (0, 0)
    is_plain = n_seen >= _LEAST_LINES and 2 * n_seen > sum(steps.values()) and width in _WIDTHS
    return " " * width if is_plain else None


def _own_width(page: Page, first: str, later: list[str]) -> int | None:
    """By how many spaces the middle itself nests below its first opener; None where it does not."""
    before = page.line_left + first
    outer = _indent_of(before)
    for line in later:
        if not line.strip():
            continue
        indent = _indent_of(line)
        if before.rstrip().endswith(_OPENERS) and "\t" not in indent + outer:
            width = len(indent) - len(outer)
            return width if width in _WIDTHS else None
        before, outer = line, indent
    return None


def _moved(line: str, *, unit: str, base: int, own_width: int | None) -> str:
    indent = _indent_of(line)
    if not indent:
        return line
    width = 4 if unit == "\t" else len(unit)
    if unit == "\t":
        if " " not in indent:
            return line
        n_levels, rest = divmod(_n_columns(indent, own_width or 4), own_width or 4)
        return "\t" * n_levels + " " * rest + line[len(indent) :]
    n_columns = _n_columns(indent, width)
    if own_width is not None and own_width != width:
        n_levels, rest = divmod(n_columns - base, own_width)
        n_columns = base + n_levels * width + rest
    return " " * max(0, n_columns) + line[len(indent) :]


def _n_columns(indent: str, tab_width: int) -> int:
    return sum(tab_width if sign == "\t" else 1 for sign in indent)


def _indent_of(line: str) -> str:
    found = _INDENT.match(line)
    assert found is not None
    return found.group()
