"""The block at the cursor: what it is the body of, how far it is indented, whether it is closed.

Owns the two ways of finding it, by indentation and by braces. Both read the text through a
`Scan`; the tree names the kind of a block where it is whole there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimble_server.document.grammars import BRACKET_NODES, NODE_KINDS
from fimble_server.document.languages import BlockKind, Layout
from fimble_server.document.lexemes import LexemeKind, n_columns
from fimble_server.document.parsed import Parsed
from fimble_server.document.scan import Closer, Opener, Scan

__all__ = ["Block", "Line", "enclosing_block", "line_at"]

_WORD = re.compile(r"\w+")
_INDENT = re.compile(r"[ \t\f]*")
_CASE_LABELS = ("case", "default")
_BRACELESS = frozenset({"if", "else", "for", "while", "do"})
_MAX_LINES_BACK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The innermost block at the cursor.

    `header_column` is how far its header is indented, None at the top level. `body_column` is
    the least indentation of a line that still belongs to it. `is_opened_here` is True where
    the text left of the cursor ends with what opens it. `opener` is the offset of its brace or
    bracket, None where indentation makes the block. `has_closer` says that its closer stands
    right of or below the cursor. `is_empty` says that nothing but comments stands in it, or,
    `is_empty_but_docstring`, nothing but the docstring right above the cursor.
    """

    kind: BlockKind
    header_column: int | None
    body_column: int
    opener: int | None
    has_closer: bool
    is_empty: bool
    is_opened_here: bool
    is_empty_but_docstring: bool = False


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


def enclosing_block(
    parsed: Parsed, cursor: int, line: Line, scan: Scan, closers: list[Closer]
) -> Block:
    """The innermost block at the cursor. `closers` match `scan.opened` from the last one on."""
    brace_index = _innermost_brace(parsed, scan)
    if line.is_blank and len(scan.opened) > (-1 if brace_index is None else brace_index) + 1:
        return _bracket_block(parsed, cursor, scan, closers)
    if parsed.language.layout is Layout.INDENTATION:
        return _indented_block(parsed, cursor, line, scan)
    if line.is_blank and (header := _braceless_header(parsed, scan)) is not None:
        return _braceless_block(parsed, cursor, line, header)
    if brace_index is None:
        column = _own_column(line)
        return _block(BlockKind.MODULE, None, column, is_empty=not parsed.text.strip())
    return _braced_block(parsed, cursor, line, scan, closers, brace_index)


def is_block_brace(parsed: Parsed, opener: Opener) -> bool:
    """True for a brace that opens a block, False for a bracket and for an object's brace."""
    if opener.character != "{" or parsed.language.layout is Layout.INDENTATION:
        return False
    node = parsed.node_at(opener.offset)
    parent = node.parent if node is not None and node.type == "{" else None
    if parent is not None and parent.type != "ERROR":
        return parent.type not in BRACKET_NODES
    before = parsed.text[max(0, opener.offset - 200) : opener.offset].rstrip()
    if before.endswith((")", "=>", "{", "}", ";", "else", "try", "do")) or not before:
        return True
    if before.endswith(("=", "(", ",", ":", "[", "?", "return", "&", "|")):
        return False
    header = before[before.rfind("\n") + 1 :]
    words = set(_WORD.findall(header))
    return bool(words & parsed.language.headers.keys()) or ")" in header or "=" not in header


def _innermost_brace(parsed: Parsed, scan: Scan) -> int | None:
    for index in range(len(scan.opened) - 1, -1, -1):
        if is_block_brace(parsed, scan.opened[index]):
            return index
    return None


def _block(
    kind: BlockKind,
    header_column: int | None,
    body_column: int,
    *,
    opener: int | None = None,
    has_closer: bool = False,
    is_empty: bool = False,
    is_opened_here: bool = False,
    is_empty_but_docstring: bool = False,
) -> Block:
    return Block(
        kind=kind,
        header_column=header_column,
        body_column=body_column,
        opener=opener,
        has_closer=has_closer,
        is_empty=is_empty,
        is_opened_here=is_opened_here,
        is_empty_but_docstring=is_empty_but_docstring,
    )


def column_at(text: str, offset: int) -> int:
    """How far the line that holds an offset is indented."""
    start = text.rfind("\n", 0, offset) + 1
    found = _INDENT.match(text, start)
    return n_columns(found.group()) if found else 0


def _own_column(line: Line) -> int:
    found = _INDENT.match(line.left)
    return n_columns(found.group()) if found else 0


def _column_below(text: str, offset: int) -> int | None:
    """How far the next line with something on it is indented; None at the end of the text."""
    start = text.find("\n", offset)
    for _ in range(_MAX_LINES_BACK):
        if start == -1:
            return None
        found = _INDENT.match(text, start + 1)
        assert found is not None
        end = found.end()
        if end < len(text) and text[end] not in "\r\n":
            return n_columns(found.group())
        start = text.find("\n", end)
    return None


def _bracket_block(parsed: Parsed, cursor: int, scan: Scan, closers: list[Closer]) -> Block:
    opener = scan.opened[-1]
    column = column_at(parsed.text, opener.offset)
    return _block(
        BlockKind.BRACKETS,
        column,
        column,
        opener=opener.offset,
        has_closer=bool(closers),
        is_empty=not parsed.text[opener.offset + 1 : cursor].strip(),
    )


# Blocks by indentation


def _code_lines(parsed: Parsed, scan: Scan, before: int) -> list[tuple[int, int]]:
    """Starts and columns of the statements above an offset, the nearest first."""
    text, markers = parsed.text, parsed.language.line_comments
    lines = []
    for start, n_open in reversed(scan.lines):
        if start >= before or n_open:
            continue
        found = _INDENT.match(text, start)
        assert found is not None
        end = found.end()
        if end >= len(text) or text[end] in "\r\n" or (markers and text.startswith(markers, end)):
            continue
        lines.append((start, n_columns(found.group())))
    return lines


def _header_kind(parsed: Parsed, start: int) -> BlockKind | None:
    found = _INDENT.match(parsed.text, start)
    words = _WORD.findall(parsed.text, found.end() if found else start, start + 200)
    first = next((word for word in words if word not in ("async", "pub", "local")), "")
    return parsed.language.headers.get(first)


def _ends_header(parsed: Parsed, scan: Scan) -> bool:
    """True where the last code before the cursor is what ends a block's header."""
    if scan.last_code is None:
        return False
    code = parsed.text[scan.last_code[1] : scan.last_code[2]]
    words = _WORD.findall(code)
    if parsed.language.closing_words:
        return bool(words) and (
            words[-1] in ("then", "do", "else", "begin") or words[0] in parsed.language.headers
        )
    return code.endswith(":")


def _indented_block(parsed: Parsed, cursor: int, line: Line, scan: Scan) -> Block:
    below = _column_below(parsed.text, cursor)
    above = _code_lines(parsed, scan, line.start if line.is_blank else cursor)
    nearest = above[0] if above else None
    ends_header = _ends_header(parsed, scan) and not scan.opened and scan.inside is None
    if nearest and ends_header and not line.right.strip():
        kind = _header_kind(parsed, nearest[0])
        if kind is not None:
            return _new_body(line, nearest[1], below, kind)
    if line.is_blank and (block := _documented_body(parsed, line, scan, above, below)) is not None:
        return block
    if not line.is_blank:
        column = nearest[1] if nearest else _own_column(line)
    else:
        column = _own_column(line)
        if nearest and below is not None:
            column = max(column, min(nearest[1], below))
    for start, header_column in above:
        if header_column < column:
            kind = _header_kind(parsed, start) or BlockKind.OTHER
            return _block(kind, header_column, column)
    if column == 0 or parsed.tree is None:
        return _block(BlockKind.MODULE, None, column, is_empty=not above and below is None)
    return _block(_kind_by_tree(parsed, line.start), max(0, column - 1), column)


def _new_body(line: Line, header_column: int, below: int | None, kind: BlockKind) -> Block:
    """The body of the header that ends right above the cursor, or left of it."""
    own = _own_column(line) if line.is_blank else 0
    has_body = below is not None and below > header_column
    column = own if own > header_column else header_column + 1
    if has_body and below is not None and own <= header_column:
        column = below
    return _block(
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
    kind = _header_kind(parsed, header)
    if kind not in (BlockKind.FUNCTION, BlockKind.CLASS) or column <= header_column:
        return None
    is_alone = not parsed.text[docstring : scan.last_code[1]].strip("rRbBuU \t")
    has_more = below is not None and below > header_column
    if not is_alone or has_more or _own_column(line) <= header_column:
        return None
    return _block(kind, header_column, column, is_empty_but_docstring=True)


def _kind_by_tree(parsed: Parsed, offset: int) -> BlockKind:
    node = parsed.node_at(offset)
    while node is not None:
        if node.type in NODE_KINDS:
            return NODE_KINDS[node.type]
        node = node.parent
    return BlockKind.OTHER


# Blocks by braces


def _braced_block(
    parsed: Parsed,
    cursor: int,
    line: Line,
    scan: Scan,
    closers: list[Closer],
    brace_index: int,
) -> Block:
    brace = scan.opened[brace_index]
    header_column = column_at(parsed.text, brace.header)
    n_inner = len(scan.opened) - brace_index - 1
    closer = closers[n_inner] if len(closers) > n_inner else None
    is_opened_here = scan.last_code is not None and scan.last_code[1] == brace.offset
    is_empty = is_opened_here and _is_empty_below(parsed.text, cursor, closer, header_column)
    block = _block(
        _braced_kind(parsed, brace),
        header_column,
        _own_column(line),
        opener=brace.offset,
        has_closer=closer is not None,
        is_empty=is_empty,
        is_opened_here=is_opened_here and not line.is_blank and brace.offset >= line.start,
    )
    if block.kind is BlockKind.SWITCH:
        return _case_block(parsed, line, scan, block, brace_index)
    return block


def _is_empty_below(text: str, cursor: int, closer: Closer | None, header_column: int) -> bool:
    if closer is not None:
        return not text[cursor : closer.offset].strip()
    below = _column_below(text, cursor)
    return below is None or below <= header_column


def _case_block(parsed: Parsed, line: Line, scan: Scan, block: Block, brace_index: int) -> Block:
    """The case of a switch, where the cursor is in one; else the switch itself."""
    for start, n_open in reversed(scan.lines):
        if start <= (block.opener or 0):
            break
        label = _WORD.search(parsed.text, start)
        if n_open != brace_index + 1 or label is None or label.group() not in _CASE_LABELS:
            continue
        column = column_at(parsed.text, start)
        if line.is_blank and _own_column(line) <= column:
            break
        return _block(
            BlockKind.CASE,
            column,
            block.body_column,
            opener=block.opener,
            has_closer=block.has_closer,
        )
    return block


def _braced_kind(parsed: Parsed, brace: Opener) -> BlockKind:
    node = parsed.node_at(brace.offset)
    parent = node.parent if node is not None and node.type == "{" else None
    for _ in range(2):  # The block's own node, then what it is the body of.
        if parent is not None and parent.type in NODE_KINDS:
            return NODE_KINDS[parent.type]
        parent = parent.parent if parent is not None else None
    start = parsed.text.rfind("\n", 0, brace.header) + 1
    header = parsed.text[start : brace.offset]
    for word in _WORD.findall(header):
        if word in parsed.language.headers:
            return parsed.language.headers[word]
    is_function = header.rstrip().endswith("=>") or ")" in header
    return BlockKind.FUNCTION if is_function else BlockKind.OTHER


def _braceless_header(parsed: Parsed, scan: Scan) -> int | None:
    """Start of the line of an `if (x)` without a brace that is waiting for its one statement."""
    if scan.last_code is None:
        return None
    kind, start, end = scan.last_code
    code = parsed.text[start:end]
    if not (kind == LexemeKind.CLOSER and code == ")") and code not in ("else", "do"):
        return None
    header = scan.last_pair_start if code == ")" else start
    line_start = parsed.text.rfind("\n", 0, start if header is None else header) + 1
    words = _WORD.findall(parsed.text, line_start, end)
    return line_start if words and words[0] in _BRACELESS else None


def _braceless_block(parsed: Parsed, cursor: int, line: Line, header: int) -> Block:
    column = column_at(parsed.text, header)
    below = _column_below(parsed.text, cursor)
    return _block(
        _header_kind(parsed, header) or BlockKind.OTHER,
        column,
        max(column + 1, _own_column(line)),
        is_empty=below is None or below <= column,
    )
