"""The block at the cursor where indentation makes blocks.

Owns what a body is there: what follows a header and is indented more. Reads the text through a
`Scan`; only headers out of its reach are looked up in the tree.
"""

from __future__ import annotations

import dataclasses
import re

from fimble_server.document.blocks import (
    INDENT,
    MAX_LINES_BELOW,
    Block,
    Line,
    build_block,
    column_below,
    header_kind,
    line_at,
    own_column,
)
from fimble_server.document.grammars import NODE_KINDS
from fimble_server.document.languages import BlockKind, Layout
from fimble_server.document.lexemes import LexemeKind, n_columns
from fimble_server.document.parsed import Parsed
from fimble_server.document.scan import Scan

__all__ = [
    "indented_block",
    "is_after_jump",
    "is_closed_below",
    "is_column_settled",
    "n_holding_brackets",
    "word_header_kind",
]

_WORD = re.compile(r"\w+")
_MAX_HEADER_CHARS = 400  # guessed: the end of a longer line opens nothing
_ENDLESS_METHOD = re.compile(r"def\s+[\w.]+[?!]?\s*(?:\([^)]*\))?\s*=\s")
_CASE_PATTERN = re.compile(r"\(?[^()\s][^()]*\)")


def n_holding_brackets(parsed: Parsed, scan: Scan) -> int:
    """How many of the open brackets hold whole blocks, as in Lua's `each(function(row)`.

    The statements of such a block are indented like any other's.
    """
    if not parsed.language.block_openers:
        return 0
    for index in range(len(scan.opened) - 1, -1, -1):
        offset = scan.opened[index].offset
        end = line_at(parsed.text, offset).end
        is_below = scan.last_code is not None and scan.last_code[1] >= offset
        if is_below and word_header_kind(parsed, offset, end) is not None:
            return index + 1
    return 0


def word_header_kind(parsed: Parsed, start: int, end: int) -> BlockKind | None:
    """What a line `[start, end)` opens where blocks close by word; None where it opens nothing."""
    language = parsed.language
    line = parsed.text[start : min(end, start + _MAX_HEADER_CHARS)].strip()
    words = _WORD.findall(line)
    if not words or any(word in language.closing_words for word in words[1:]):
        return None
    kind = header_kind(parsed, start)
    if kind is not None:
        return None if _ENDLESS_METHOD.match(line) else kind
    opener = re.search(language.block_openers, line) if language.block_openers else None
    if opener is None:
        return BlockKind.CASE if _is_case_pattern(parsed, line) else None
    is_function = opener.group().startswith(("function", "{")) and "|" not in opener.group()
    return BlockKind.FUNCTION if is_function else BlockKind.OTHER


def _is_case_pattern(parsed: Parsed, line: str) -> bool:
    return parsed.language.has_case_parentheses and _CASE_PATTERN.fullmatch(line) is not None


def _kind_of_line(parsed: Parsed, start: int) -> BlockKind | None:
    if not parsed.language.closing_words:
        return header_kind(parsed, start)
    return word_header_kind(parsed, start, line_at(parsed.text, start).end)


def is_closed_below(parsed: Parsed, offset: int, header_column: int) -> bool:
    """True where the word that ends a block, or a sibling of it, stands below on its column."""
    language, text = parsed.language, parsed.text
    start = text.find("\n", offset)
    for _ in range(MAX_LINES_BELOW):
        if start == -1:
            return False
        found = INDENT.match(text, start + 1)
        assert found is not None
        end = found.end()
        is_blank = end >= len(text) or text[end] in "\r\n"
        column = n_columns(found.group())
        if not is_blank and column <= header_column:
            word = _WORD.match(text, end)
            closers = language.closing_words | language.clauses
            is_closer = text[end] == "}" or (word is not None and word.group() in closers)
            return column == header_column and is_closer
        start = text.find("\n", end)
    return False


def _code_lines(parsed: Parsed, scan: Scan, before: int) -> list[tuple[int, int]]:
    """Starts and columns of the statements above an offset, the nearest first."""
    n_holding = n_holding_brackets(parsed, scan)
    lines = []
    for start, n_open in reversed(scan.lines):
        column = _column_of_code(parsed, start)
        if start < before and n_open <= n_holding and column is not None:
            lines.append((start, column))
    return lines


def _ends_header(parsed: Parsed, scan: Scan, nearest: int) -> bool:
    """True where the last code before the cursor is what ends the header that starts nearest."""
    if scan.last_code is None:
        return False
    if parsed.language.closing_words:  # No colon: the line itself must look like a header.
        is_same_line = "\n" not in parsed.text[nearest : scan.last_code[1]]
        return is_same_line and word_header_kind(parsed, nearest, scan.last_code[2]) is not None
    return parsed.text[scan.last_code[1] : scan.last_code[2]].endswith(":")


def indented_block(parsed: Parsed, cursor: int, line: Line, scan: Scan) -> Block:
    """The innermost block at the cursor, outside of brackets that hold a blank line at it."""
    below = column_below(parsed.text, cursor)
    above = _code_lines(parsed, scan, line.start if line.is_blank else cursor)
    nearest = above[0] if above else None
    is_outside = len(scan.opened) == n_holding_brackets(parsed, scan)
    is_code_end = is_outside and scan.inside is None and not line.right.strip()
    is_code_end = is_code_end and (line.is_blank or not parsed.language.closing_words)
    if nearest and is_code_end and _ends_header(parsed, scan, nearest[0]):
        kind = _kind_of_line(parsed, nearest[0])
        if kind is not None:
            return _closed(parsed, line, _new_body(line, nearest, below, kind))
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
            kind = _kind_of_line(parsed, start) or BlockKind.OTHER
            return _closed(
                parsed, line, build_block(kind, header_column, column, header_start=start)
            )
    if column == 0 or parsed.tree is None:
        return build_block(BlockKind.MODULE, None, column, is_empty=not above and below is None)
    return build_block(_kind_by_tree(parsed, line.start), max(0, column - 1), column)


def _closed(parsed: Parsed, line: Line, block: Block) -> Block:
    """The block, with what is known of its closing word."""
    if not parsed.language.closing_words or block.header_column is None:
        return block
    has_closer = is_closed_below(parsed, line.end, block.header_column)
    return dataclasses.replace(block, has_closer=has_closer)


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
    start = _statement_above(parsed, line, scan)
    if start is None:
        return False
    indent = INDENT.match(parsed.text, start)
    assert indent is not None
    if n_columns(indent.group()) != own_column(line):
        return False
    words = _WORD.findall(parsed.text, indent.end(), line_at(parsed.text, start).end)
    is_alone = not any(word in parsed.language.modifiers for word in words)
    is_word = _WORD.match(parsed.text, indent.end()) is not None
    return is_word and is_alone and words[0] in parsed.language.jumps


def _statement_above(parsed: Parsed, line: Line, scan: Scan) -> int | None:
    """Where the nearest statement above begins that stands as deep in brackets as the cursor."""
    if parsed.language.layout is Layout.INDENTATION:
        above = _code_lines(parsed, scan, line.start)
        is_outside = len(scan.opened) == n_holding_brackets(parsed, scan)
        return above[0][0] if above and is_outside else None
    for start, n_open in reversed(scan.lines):
        is_deep_as_cursor = start < line.start and n_open == len(scan.opened)
        if is_deep_as_cursor and _column_of_code(parsed, start) is not None:
            return start
    return None


def _column_of_code(parsed: Parsed, start: int) -> int | None:
    """How far a line is indented; None where nothing or a comment stands on it."""
    text, markers = parsed.text, parsed.language.line_comments
    found = INDENT.match(text, start)
    assert found is not None
    end = found.end()
    if end >= len(text) or text[end] in "\r\n" or (markers and text.startswith(markers, end)):
        return None
    return n_columns(found.group())


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


def _new_body(line: Line, header: tuple[int, int], below: int | None, kind: BlockKind) -> Block:
    """The body of the header that ends right above the cursor, or left of it."""
    header_start, header_column = header
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
        header_start=header_start,
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
    return build_block(
        kind, header_column, column, is_empty_but_docstring=True, header_start=header
    )


def _kind_by_tree(parsed: Parsed, offset: int) -> BlockKind:
    node = parsed.node_at(offset)
    while node is not None and node.parent is not None:  # A root is called `module` in Python.
        if node.is_named and node.type in NODE_KINDS:
            return NODE_KINDS[node.type]
        node = node.parent
    return BlockKind.OTHER
