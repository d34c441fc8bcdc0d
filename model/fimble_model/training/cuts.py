"""Where a document is cut into prefix, middle and suffix.

Owns the kinds of cut and their odds. Pure: text and a random generator in, character offsets
out. Never tokenizes and never trims to a window: `samples` does.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node, Parser

from fimble_model.training.languages import try_parser

__all__ = ["Cut", "CutKind", "choose_cut"]


class CutKind(enum.Enum):
    """What a middle is."""

    SYNTAX = "syntax node"
    LINE_END = "cursor to end of line"
    SPAN = "random span"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The middle is `text[middle_start:middle_end]`, in characters: one emoji counts once."""

    kind: CutKind
    middle_start: int
    middle_end: int


_ODDS = {CutKind.SYNTAX: 0.5, CutKind.LINE_END: 0.2, CutKind.SPAN: 0.3}
_MAX_SPAN_CHARS = 300

# Node types by how they end: the grammars agree so far that one table serves them all.
_BLOCKS = frozenset(
    {"block", "statement_block", "compound_statement", "class_body", "interface_body",
     "enum_body", "declaration_list", "field_declaration_list", "enum_variant_list",
     "constructor_body", "match_block", "switch_body"}
)  # fmt: skip
_STATEMENT_ENDINGS = ("_statement", "_declaration", "_definition", "_item", "_specifier", "_clause")
_EXPRESSION_ENDINGS = (
    "_expression", "_operator", "_comprehension", "_literal", "_invocation", "_string", "_list"
)  # fmt: skip
_EXPRESSIONS = frozenset(
    {"call", "attribute", "list", "dictionary", "tuple", "string", "subscript", "lambda", "array",
     "object", "pair", "arrow_function", "field_access"}
)  # fmt: skip
_ARGUMENTS = frozenset(
    {"argument_list", "arguments", "parameters", "formal_parameters", "parameter_list",
     "type_arguments", "type_parameters"}
)  # fmt: skip
_MAX_LINES_CUT = 8
_WITH_INDENTATION_SHARE = 0.5
_WITH_LINE_END_SHARE = 0.5


def choose_cut(
    text: str, rng: random.Random, *, max_middle_chars: int, language: str = "python"
) -> Cut | None:
    """A cut of `text` with a middle of 1 to `max_middle_chars`, or None where none was found.

    Where the language has no grammar, a few whole lines stand for a node.
    """
    kind = rng.choices(tuple(_ODDS), weights=tuple(_ODDS.values()))[0]
    if kind is CutKind.SYNTAX:
        parser = try_parser(language)
        if parser is None:
            span = _choose_lines(text, rng, max_middle_chars)
        else:
            span = _choose_node(text, parser, rng, max_middle_chars)
    elif kind is CutKind.LINE_END:
        span = _choose_line_end(text, rng, max_middle_chars)
    else:
        span = _choose_span(text, rng, min(max_middle_chars, _MAX_SPAN_CHARS))
    if span is None or not text[span[0] : span[1]].strip():
        return None
    return Cut(kind=kind, middle_start=span[0], middle_end=span[1])


def _choose_span(text: str, rng: random.Random, max_chars: int) -> tuple[int, int] | None:
    """Any characters: lengths spread evenly on a logarithmic scale, for short ones come more."""
    if not text:
        return None
    n_chars = min(int(max_chars ** rng.random()) + 1, max_chars, len(text))
    start = rng.randrange(len(text) - n_chars + 1)
    return start, start + n_chars


def _choose_line_end(text: str, rng: random.Random, max_chars: int) -> tuple[int, int] | None:
    """From a random column of a line with text to its end."""
    start, end = _line_around(text, rng.randrange(len(text))) if text else (0, 0)
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    if first >= end or end - first > max_chars:
        return None
    column = rng.randrange(first, end)
    return _maybe_with_indentation(text, (column, end), rng)


def _choose_lines(text: str, rng: random.Random, max_chars: int) -> tuple[int, int] | None:
    """One to a few whole lines, from the first one's first character."""
    if not text:
        return None
    start, end = _line_around(text, rng.randrange(len(text)))
    for _ in range(rng.randrange(_MAX_LINES_CUT)):
        further = _line_around(text, end + 1)[1] if end + 1 < len(text) else end
        if further - start > max_chars:
            break
        end = further
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    if first >= end or end - first > max_chars:
        return None
    return _maybe_with_indentation(text, (first, end), rng)


def _choose_node(
    text: str, parser: Parser, rng: random.Random, max_chars: int
) -> tuple[int, int] | None:
    """A node of the syntax tree: block, statement, expression or arguments, evenly."""
    groups: dict[str, list[Node]] = {}
    data = text.encode()
    for node in _walk(parser.parse(data).root_node):
        group = _group(node)
        if group is not None and 0 < node.end_byte - node.start_byte <= max_chars:
            groups.setdefault(group, []).append(node)
    if not groups:
        return None
    node = rng.choice(groups[rng.choice(sorted(groups))])
    start = len(data[: node.start_byte].decode())
    end = start + len(data[node.start_byte : node.end_byte].decode())
    return _maybe_with_indentation(text, (start, end), rng)


def _group(node: Node) -> str | None:
    kind = node.type
    if kind in _BLOCKS:
        return "block"
    if kind in _ARGUMENTS:
        return "arguments"
    if kind.endswith(_STATEMENT_ENDINGS):
        return "statement"
    if kind in _EXPRESSIONS or kind.endswith(_EXPRESSION_ENDINGS):
        return "expression"
    return None


def _walk(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.named_children)


def _maybe_with_indentation(
    text: str, span: tuple[int, int], rng: random.Random
) -> tuple[int, int]:
    """Half of the cuts at a line's first character leave the indentation to the middle.

    An editor indents on Enter, so the cursor usually stands behind the blanks; where it does
    not, the model has to write them. Half of those that are whole lines then leave the last
    line's end to the middle too: the suffix begins with another line's text, so that the model
    must close its own.
    """
    line_start = text.rfind("\n", 0, span[0]) + 1
    is_first = not text[line_start : span[0]].strip(" \t")
    if not (is_first and rng.random() < _WITH_INDENTATION_SHARE):
        return span
    is_whole_lines = text[span[1] : span[1] + 1] == "\n"
    with_line_end = is_whole_lines and rng.random() < _WITH_LINE_END_SHARE
    return line_start, span[1] + with_line_end


def _line_around(text: str, at: int) -> tuple[int, int]:
    """Start and end of the line that holds character `at`, without its newline."""
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end
