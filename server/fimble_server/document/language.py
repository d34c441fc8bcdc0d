"""What may be true of a language whatever the file: the shape of one row of the table.

Owns the types. The rows are in `languages.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["BlockKind", "Language", "Layout", "StringForm"]


class BlockKind(enum.Enum):
    """What a block is the body of."""

    MODULE = "module"
    NAMESPACE = "namespace"
    FUNCTION = "function"
    CLASS = "class"
    IF = "if"
    LOOP = "loop"
    TRY = "try"
    WITH = "with"
    SWITCH = "switch"
    CASE = "case"
    BRACKETS = "brackets"
    OTHER = "other"


class Layout(enum.Enum):
    """What says where a block ends: its indentation, or a closing brace."""

    INDENTATION = "indentation"
    BRACES = "braces"


@dataclass(frozen=True, slots=True, kw_only=True)
class StringForm:
    """How one form of string literal opens and closes, whether it may hold line ends, and code.

    `has_code` where `${...}` in it is code that may hold such strings again.
    """

    opener: str
    closer: str
    is_multiline: bool = False
    has_escapes: bool = True
    has_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Language:
    """One row of the table, equal to itself alone.

    `headers` maps the words that open a block to the kind of the block.
    `clauses` are the words that begin a sibling of a block (`else`, `except`, `case`);
    `closing_words` end a block in languages that close by word (`end`, `fi`); nothing of a block
    follows a statement that begins with one of its `jumps`, unless one of its `modifiers`
    (Ruby's `if`) makes it depend on something.
    `block_openers` is a pattern of how a line ends that opens a block without beginning with a
    header's word, such as Ruby's `each do |row|`; `brackets` are the signs that pair up.
    `comments_begin_words` says that a comment's mark inside of a word is none (`$#` in a shell),
    `has_case_parentheses` that a case's pattern ends with a closer that nothing opened.
    `aliases` are other names that editors have for it.
    `grammar_id` names a tree-sitter grammar, None where there is none.
    """

    language_id: str
    aliases: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    filenames: tuple[str, ...] = ()
    grammar_id: str | None = None
    layout: Layout = Layout.INDENTATION
    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    strings: tuple[StringForm, ...] = ()
    headers: Mapping[str, BlockKind] = field(default_factory=dict)
    clauses: frozenset[str] = frozenset()
    closing_words: frozenset[str] = frozenset()
    jumps: frozenset[str] = frozenset()
    modifiers: frozenset[str] = frozenset()
    block_openers: str | None = None
    brackets: str = "()[]{}"
    comments_begin_words: bool = False
    has_case_parentheses: bool = False
    has_regex_literals: bool = False
    has_lifetimes: bool = False
