"""Which names a file defines for others, and which places in it are code.

Owns the reading of a syntax tree for that. Pure; languages without a grammar define nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from fimble_server.document.grammars import NODE_KINDS, TEXT_NODES
from fimble_server.document.languages import BlockKind
from fimble_server.document.parsed import Parsed

__all__ = ["defined_names", "is_import_or_text"]

_LEAST_NAME_CHARS = 4
_DEFINING = frozenset({BlockKind.FUNCTION, BlockKind.CLASS})
# Wrapped around a definition they leave it where it was: at the top of its file.
_NAMED = frozenset({"type_spec", "variable_declarator", "const_item", "static_item", "type_item"})


def defined_names(parsed: Parsed) -> set[str]:
    """The functions, classes and types at the top level of a file, by name."""
    if parsed.tree is None:
        return set()
    names = (_name_of(node) for node in _top_definitions(parsed.tree.root_node))
    return {
        name
        for name in names
        if name is not None and len(name) >= _LEAST_NAME_CHARS and not name.startswith("__")
    }


def is_import_or_text(parsed: Parsed, offset: int) -> bool:
    """Whether an import, a string or a comment stands at a character offset."""
    node = parsed.node_at(offset)
    while node is not None:
        is_import = "import" in node.type or node.type in ("use_declaration", "preproc_include")
        if is_import or node.type in TEXT_NODES:
            return True
        node = node.parent
    return False


def _top_definitions(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if NODE_KINDS.get(child.type) in _DEFINING or child.type in _NAMED:
            yield child
        else:
            yield from _top_definitions(child)


def _name_of(node: Node) -> str | None:
    """In C the name is at the bottom of the declarators."""
    found = node.child_by_field_name("name")
    inner = node
    while found is None:
        declarator = inner.child_by_field_name("declarator")
        if declarator is None:
            return None
        inner = declarator
        if not inner.named_children:
            found = inner
    return None if found.text is None else found.text.decode("utf-8", "replace")
