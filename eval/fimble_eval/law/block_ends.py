"""Where the innermost block at a cursor of a whole, well-formed file ends, as its tree says.

Owns the other side of the stop law: it reads the intact tree, which the rules never see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from fimble_server.document.grammars import BRACKET_NODES, NODE_KINDS
from fimble_server.document.language import BlockKind
from fimble_server.document.lexemes import LexemeKind, lexicon_of
from fimble_server.document.parsed import Parsed

__all__ = ["BlockEnd", "find_block_end", "has_error", "n_unpaired", "parses_worse"]

_CLASSES = frozenset({BlockKind.CLASS, BlockKind.NAMESPACE})
_CLOSING_WORDS = frozenset({"end", "fi", "done", "esac", "until"})
_CLAUSES = frozenset(
    {"else_clause", "catch_clause", "finally_clause", "else", "elif_clause", "else_if_clause"}
    | {"except_clause", "elseif_statement", "else_statement", "elsif", "rescue", "ensure"}
    | {"catch", "finally"}
)
_HAVE_OWN_ELSE = ("let_declaration", "conditional_expression")  # No block of theirs ends there.


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnd:
    """Where a block ends, on which column its siblings begin, and whether it holds declarations."""

    offset: int
    column: int
    is_class: bool


def find_block_end(parsed: Parsed, cursor: int) -> BlockEnd | None:
    """How far a suggestion may reach; None outside of all blocks. The text is ASCII."""
    assert parsed.tree is not None
    ends: list[tuple[int, Node]] = []
    nodes = [parsed.tree.root_node]
    while nodes:
        node = nodes.pop()
        ends += [(end, node) for end in _ends(node, cursor)]
        nodes += [child for child in node.children if child.start_byte <= cursor <= child.end_byte]
    if not ends:
        return None
    offset, node = min(ends, key=lambda end: end[0])
    owner = node.parent if node.type == "block" and node.parent is not None else node
    kinds = {NODE_KINDS.get(each.type) for each in (node, owner, owner.parent or owner)}
    is_class = NODE_KINDS.get(node.type) in _CLASSES or (
        node.type.endswith(("block", "body", "list")) and bool(kinds & _CLASSES)
    )
    return BlockEnd(offset=offset, column=_column(parsed.text, owner.start_byte), is_class=is_class)


def parses_worse(before: Parsed, after: Parsed, *, is_begun: bool) -> bool:
    """True where a text without errors got some, or a broken one more brackets without a partner.

    NOTE: errors of a half-typed line are not counted against each other: how many the parser sees
    depends on where it finds its way again. And a line that `is_begun` may stay
    without the body that it wants (`fo<|>r row in rows`): it only must not open one.
    """
    if not has_error(before) and not is_begun:
        return has_error(after)
    return n_unpaired(after) > n_unpaired(before)


def has_error(parsed: Parsed) -> bool:
    assert parsed.tree is not None
    return parsed.tree.root_node.has_error


def n_unpaired(parsed: Parsed) -> int:
    """Brackets without a partner, as the text has them."""
    text, opened, n_unpaired = parsed.text, [""], 0
    match, position = lexicon_of(parsed.language).structure.match, 0
    while position < len(text) and (found := match(text, position)):
        if found.lastindex == LexemeKind.OPENER:
            opened.append({"(": ")", "[": "]", "{": "}"}[found.group()])
        elif found.lastindex == LexemeKind.CLOSER:
            if found.group() in opened:  # What was opened in between has no partner.
                while opened.pop() != found.group():
                    n_unpaired += 1
            elif not parsed.language.has_case_parentheses:
                n_unpaired += 1
        position = found.end()
    return n_unpaired + len(opened) - 1


def _ends(node: Node, cursor: int) -> Iterator[int]:
    types = [child.type for child in node.children]
    if node.type == "block" and "{" not in types and node.start_byte <= cursor <= node.end_byte:
        yield node.end_byte
    is_braced = "{" in types and types[-1] == "}" and node.type not in BRACKET_NODES
    is_past_brace = is_braced and node.children[types.index("{")].end_byte <= cursor
    if is_past_brace and cursor <= node.children[-1].start_byte:
        yield node.children[-1].start_byte
    for child in node.children if node.start_byte < cursor else []:
        is_closer = not child.is_named and child.type in _CLOSING_WORDS
        is_clause = child.type in _CLAUSES and node.type not in _HAVE_OWN_ELSE
        before = child.prev_named_sibling  # The body; left of it the cursor is in the header.
        is_clause = is_clause and before is not None and before.start_byte < cursor
        if (is_closer or is_clause) and cursor <= child.start_byte:
            yield child.start_byte
    yield from _next_case(node, cursor)


def _next_case(node: Node, cursor: int) -> Iterator[int]:
    """Where the case after the cursor's begins."""
    is_past_arm = node.type in _ARMS and cursor >= node.end_byte
    if NODE_KINDS.get(node.type) is not BlockKind.CASE or node.start_byte >= cursor or is_past_arm:
        return
    label_end = next((child for child in node.children if child.type in _LABEL_ENDS), None)
    if label_end is not None and cursor < label_end.end_byte:
        return
    following = node.next_named_sibling
    while following is not None and following.type.endswith("comment"):
        following = following.next_named_sibling
    if following is not None and NODE_KINDS.get(following.type) is BlockKind.CASE:
        yield following.start_byte


_LABEL_ENDS = (":", ")", "=>", "->")
_ARMS = ("match_arm", "switch_expression_arm", "match_conditional_expression")


def _column(text: str, offset: int) -> int:
    start = text.rfind("\n", 0, offset) + 1
    line = text[start : offset + 1]
    return len(line) - len(line.lstrip())
