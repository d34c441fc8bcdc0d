"""What a file defines: the names and headers of its functions, classes and types.

Owns which nodes of a syntax tree are definitions, whatever the grammar. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from fimble_server.document.languages import Language
from fimble_server.document.parsed import parse

__all__ = ["Definition", "find_definitions"]

_DEFINING = re.compile(
    r"(function|method|class|interface|struct|enum|trait|type|record|constructor|module)\w*"
    r"_(definition|declaration|item|specifier|alias|spec|signature)|class|method|module"
)
_MOST_DEPTH = 6
_MOST_HEADER_CHARS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A name and what stands from the definition's start to its body."""

    name: str
    header: str


def find_definitions(language: Language, text: str) -> tuple[Definition, ...]:
    """The definitions in a text's order; none where the language has no grammar.

    What is defined inside functions is nobody else's and left out.
    """
    parsed = parse(language, text)
    if parsed.tree is None:
        return ()
    return tuple(_walk(parsed.tree.root_node, parsed.source, 0))


def _walk(node: Node, source: bytes, depth: int) -> Iterator[Definition]:
    for child in node.named_children:
        name = child.child_by_field_name("name")
        body = child.child_by_field_name("body")
        is_definition = name is not None and _DEFINING.fullmatch(child.type) is not None
        if name is not None and is_definition:
            end = child.end_byte if body is None else body.start_byte
            header = source[child.start_byte : end].decode("utf-8", "replace").rstrip()
            yield Definition(
                name=source[name.start_byte : name.end_byte].decode("utf-8", "replace"),
                header=header[:_MOST_HEADER_CHARS],
            )
        is_function = is_definition and re.match("function|method|constructor", child.type)
        if depth < _MOST_DEPTH and not is_function:
            yield from _walk(child, source, depth + 1)
