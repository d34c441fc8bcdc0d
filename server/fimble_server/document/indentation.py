"""The block at the cursor where indentation makes blocks.

Owns what a body is there: what follows a header and is indented more. Reads the text through a
`Scan`; only headers out of its reach are looked up in the tree.
"""

from __future__ import annotations

import re

from fimble_server.document.blocks import (
    INDENT,
    MAX_LINES_BELOW,
    Block,
    Line,
    build_block,
    column_below,
    header_kind,
    own_column,
)
from fimble_server.document.grammars import NODE_KINDS
from fimble_server.document.languages import BlockKind, Layout
from fimble_server.document.lexemes import LexemeKind, n_columns
from fimble_server.document.parsed import Parsed
from fimble_server.document.scan import Scan

__all__ = ["indented_block", "is_after_jump", "is_column_settled"]

_WORD = re.compile(r"\w+")


def _code_lines(parsed: Parsed, scan: Scan, before: int) -> list[tuple[int, int]]:
    """Starts and columns of the statements above an offset, the nearest first."""
    text, markers = parsed.text, parsed.language.line_comments
    lines = []
    for start, n_open in reversed(scan.lines):
        if start >= before or n_open:
            continue
        found = INDENT.match(text, start)
        assert found is not None
        end = found.end()
        if end >= len(text) or text[end] in "\r\n" or (markers and text.startswith(markers, end)):
            continue
        lines.append((start, n_columns(found.group())))
    return lines


def _ends_header(parsed: Parsed, scan: Scan, nearest: int) -> bool:
    """True where the last code before the cursor is what ends the header that starts nearest."""
    if scan.last_code is None:
        return False
    if parsed.language.closing_words:  # No colon: a header is a line that begins with its word.
        is_same_line = "\n" not in parsed.text[nearest : scan.last_code[1]]
        return is_same_line and header_kind(parsed, nearest) not in (None, BlockKind.OTHER)
    return parsed.text[scan.last_code[1] : scan.last_code[2]].endswith(":")


def indented_block(parsed: Parsed, cursor: int, line: Line, scan: Scan) -> Block:
    """The innermost block at the cursor, outside of brackets that hold a blank line at it."""
    below = column_below(parsed.text, cursor)
    above = _code_lines(parsed, scan, line.start if line.is_blank else cursor)
    nearest = above[0] if above else None
    is_code_end = not scan.opened and scan.inside is None and not line.right.strip()
    is_code_end = is_code_end and (line.is_blank or not parsed.language.closing_words)
    if nearest and is_code_end and _ends_header(parsed, scan, nearest[0]):
        kind = header_kind(parsed, nearest[0])
        if kind is not None:
            return _new_body(line, nearest[1], below, kind)
    if line.is_blank and (block := _documented_body(parsed, line, scan, above, below)) is not None:
        return block
    if not line.is_blank:
        column = nearest[1] if nearest else own_column(line)
    else:
        column = own_column(line)
        if nearest and below is not None:
            column = max(column, min(nearest[1], below))
        clause_column = _clause_column_below(parsed, line.end)
        if nearest and clause_column is not None and nearest[1] > clause_column:
            column = max(column, clause_column + 1)  # The body above is not over yet.
    for start, header_column in above:
        if header_column < column:
            kind = header_kind(parsed, start) or BlockKind.OTHER
            return build_block(kind, header_column, column)
    if column == 0 or parsed.tree is None:
        return build_block(BlockKind.MODULE, None, column, is_empty=not above and below is None)
    return build_block(_kind_by_tree(parsed, line.start), max(0, column - 1), column)


def is_column_settled(parsed: Parsed, line: Line, scan: Scan) -> bool:
    """True where a blank line is indented like a statement above it that opens nothing.

    A line without indentation is not settled: some editors leave it to be typed. Neither is one
    in a language whose blocks we do not know.
    """
    own = own_column(line)
    is_known = parsed.language.layout is Layout.INDENTATION and bool(parsed.language.headers)
    if not own or scan.opened or not is_known:
        return False
    above = _code_lines(parsed, scan, line.start)
    if not above or _ends_header(parsed, scan, above[0][0]):
        return False
    return next((column for _, column in above if column <= own), None) == own


def is_after_jump(parsed: Parsed, line: Line, scan: Scan) -> bool:
    """True where the statement above a blank line, indented alike, leaves the block."""
    above = _code_lines(parsed, scan, line.start)
    if not above or scan.opened or above[0][1] != own_column(line):
        return False
    indent = INDENT.match(parsed.text, above[0][0])
    word = _WORD.match(parsed.text, indent.end()) if indent else None
    return word is not None and word.group() in parsed.language.jumps


def _clause_column_below(parsed: Parsed, offset: int) -> int | None:
    """How far the next code below is indented, where it is an `else` or the like; else None."""
    text, markers = parsed.text, parsed.language.line_comments
    start = text.find("\n", offset)
    for _ in range(MAX_LINES_BELOW):
        if start == -1:
            return None
        found = INDENT.match(text, start + 1)
        assert found is not None
        end = found.end()
        is_blank = end >= len(text) or text[end] in "\r\n"
        if not is_blank and not (markers and text.startswith(markers, end)):
            word = _WORD.match(text, end)
            is_clause = word is not None and word.group() in parsed.language.clauses
            return n_columns(found.group()) if is_clause else None
        start = text.find("\n", end)
    return None


def _new_body(line: Line, header_column: int, below: int | None, kind: BlockKind) -> Block:
    """The body of the header that ends right above the cursor, or left of it."""
    own = own_column(line) if line.is_blank else 0
    has_body = below is not None and below > header_column
    column = own if own > header_column else header_column + 1
    if has_body and below is not None and own <= header_column:
        column = below
    return build_block(
        kind,
        header_column,
        column,
        is_empty=not has_body,
        is_opened_here=not line.is_blank,
    )


def _documented_body(
    parsed: Parsed, line: Line, scan: Scan, above: list[tuple[int, int]], below: int | None
) -> Block | None:
    """The body that holds nothing but the docstring above the cursor, None where there is more."""
    if len(above) < 2 or scan.last_code is None or scan.last_code[0] != LexemeKind.STRING:
        return None
    (docstring, column), (header, header_column) = above[:2]
    kind = header_kind(parsed, header)
    if kind not in (BlockKind.FUNCTION, BlockKind.CLASS) or column <= header_column:
        return None
    is_alone = not parsed.text[docstring : scan.last_code[1]].strip("rRbBuU \t")
    has_more = below is not None and below > header_column
    if not is_alone or has_more or own_column(line) <= header_column:
        return None
    return build_block(kind, header_column, column, is_empty_but_docstring=True)


def _kind_by_tree(parsed: Parsed, offset: int) -> BlockKind:
    node = parsed.node_at(offset)
    while node is not None and node.parent is not None:  # A root is called `module` in Python.
        if node.is_named and node.type in NODE_KINDS:
            return NODE_KINDS[node.type]
        node = node.parent
    return BlockKind.OTHER
