"""The block at the cursor where braces make blocks.

Owns telling a block's brace from an object's, the cases of a switch, and the `if` without a
brace. The tree names the kind of a block where it is whole there; else its header's words do.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from fimble_server.document.blocks import (
    Block,
    Line,
    build_block,
    column_below,
    header_kind,
    own_column,
)
from fimble_server.document.grammars import BRACKET_NODES, NODE_KINDS
from fimble_server.document.languages import BlockKind, Layout
from fimble_server.document.lexemes import LexemeKind, column_at
from fimble_server.document.parsed import Parsed
from fimble_server.document.scan import Closer, Opener, Scan

__all__ = ["braced_block", "innermost_brace", "is_block_brace"]

_WORD = re.compile(r"\w+")
_CASE_LABELS = ("case", "default")
_BRACELESS = frozenset({"if", "else", "for", "while", "do"})


def braced_block(
    parsed: Parsed, cursor: int, line: Line, scan: Scan, closers: list[Closer | None]
) -> Block:
    """The innermost block at the cursor. `closers` match `scan.opened` from the last one on."""
    if line.is_blank and (header := _braceless_header(parsed, scan)) is not None:
        return _braceless_block(parsed, cursor, line, header)
    brace_index = innermost_brace(parsed, scan)
    if brace_index is None:
        if (namespace := _flat_namespace(parsed, cursor, line)) is not None:
            return namespace
        is_empty = not parsed.text.strip()
        return build_block(BlockKind.MODULE, None, own_column(line), is_empty=is_empty)
    return _block_of_brace(parsed, cursor, line, scan, closers, brace_index)


def is_block_brace(parsed: Parsed, opener: Opener) -> bool:
    """True for a brace that opens a block, False for a bracket and for an object's brace."""
    if opener.character != "{" or parsed.language.layout is Layout.INDENTATION:
        return False
    node = parsed.node_at(opener.offset)
    parent = node.parent if node is not None and node.type == "{" else None
    if parent is not None and parent.type != "ERROR" and not parent.has_error:
        return parent.type not in BRACKET_NODES
    before = parsed.text[max(0, opener.offset - 200) : opener.offset].rstrip()
    if before.endswith((")", "=>", "{", "}", ";", "else", "try", "do")) or not before:
        return True
    if before.endswith(("=", "(", ",", ":", "[", "?", "return", "&", "|")):
        return False
    header = before[before.rfind("\n") + 1 :]
    words = set(_WORD.findall(header))
    return bool(words & parsed.language.headers.keys()) or ")" in header or "=" not in header


def innermost_brace(parsed: Parsed, scan: Scan) -> int | None:
    """Which of the open brackets is the brace of the innermost block; None at the top level."""
    for index in range(len(scan.opened) - 1, -1, -1):
        if is_block_brace(parsed, scan.opened[index]):
            return index
    return None


def _flat_namespace(parsed: Parsed, cursor: int, line: Line) -> Block | None:
    """The namespace around a cursor whose body is not indented: only the tree can tell."""
    node = parsed.node_at(max(0, min(cursor, len(parsed.text) - 1)))
    offset = parsed.byte_offset(cursor)
    while node is not None and node.parent is not None:
        body = node.child_by_field_name("body") if _is_namespace(node) else None
        if body is not None and body.start_byte < offset <= body.end_byte - 1:
            opener = parsed.char_offset(body.start_byte)
            return build_block(
                BlockKind.NAMESPACE,
                column_at(parsed.text, opener),
                own_column(line),
                opener=opener,
                has_closer=body.children[-1].type == "}" and not body.children[-1].is_missing,
            )
        node = node.parent
    return None


def _is_namespace(node: Node) -> bool:
    return node.is_named and NODE_KINDS.get(node.type) is BlockKind.NAMESPACE


def _block_of_brace(
    parsed: Parsed,
    cursor: int,
    line: Line,
    scan: Scan,
    closers: list[Closer | None],
    brace_index: int,
) -> Block:
    brace = scan.opened[brace_index]
    header_column = column_at(parsed.text, brace.header)
    n_inner = len(scan.opened) - brace_index - 1
    closer = closers[n_inner] if len(closers) > n_inner else None
    is_opened_here = scan.last_code is not None and scan.last_code[1] == brace.offset
    is_empty = is_opened_here and _is_empty_below(parsed.text, cursor, closer, header_column)
    block = build_block(
        _braced_kind(parsed, brace),
        header_column,
        own_column(line),
        opener=brace.offset,
        has_closer=closer is not None,
        is_empty=is_empty,
        is_opened_here=is_opened_here and not line.is_blank and brace.offset >= line.start,
        header_start=parsed.text.rfind("\n", 0, brace.header) + 1,
    )
    if block.kind is BlockKind.SWITCH:
        return _case_block(parsed, line, scan, block, brace_index)
    return block


def _is_empty_below(text: str, cursor: int, closer: Closer | None, header_column: int) -> bool:
    if closer is not None:
        return not text[cursor : closer.offset].strip()
    below = column_below(text, cursor)
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
        if line.is_blank and own_column(line) <= column:
            break
        return build_block(
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
    below = column_below(parsed.text, cursor)
    return build_block(
        header_kind(parsed, header) or BlockKind.OTHER,
        column,
        max(column + 1, own_column(line)),
        is_empty=below is None or below <= column,
    )
