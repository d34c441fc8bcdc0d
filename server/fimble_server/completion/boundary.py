"""What a middle may be at most, and what of the buffer a reader must know to hold it to that.

Owns the values between the facts at the cursor and the state machine that reads middles.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fimble_server.document.languages import Language

__all__ = ["Boundary", "Extent", "closer_of"]


class Extent(enum.Enum):
    """How far a middle may reach at most.

    LINE: to the end of the line, or of the brackets it opens. BLOCK: to the end of the block at
    the cursor. STATEMENT: one statement or definition of that block.
    """

    LINE = "line"
    BLOCK = "block"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What a reader must know of the buffer.

    `start_column` is how far the cursor's blank line is indented, None where text stands left
    of the cursor; where it `is_settled`, a line further in would belong to nothing.
    `floor_column` is the least indentation of a kept line, and of the first line too where
    `is_floor_strict`. The brackets `closable`, open at the cursor, are the middle's to close.
    `inside_opener` is what opened the string or comment at the cursor, and
    `is_inside_closed` says that its end stands on the right. `right_sign` is the sign right of
    the cursor that the middle must not write again. `forbidden_clauses` begin a sibling of the
    block at the cursor; the first word of the middle may be one where `may_begin_clause`.
    `includes_closer` lets the middle close the block at the cursor. `has_let_else` says that
    the cursor's line holds a `let` which may have an `else` of its own.
    `closing_column` is where the word stands that closes the block and is the middle's to write,
    with `n_closers_after` brackets behind it. `line_left` is what stands left of the cursor where
    words close blocks, and `is_word_closed` says that its blocks are closed on the right or below.
    `has_case_patterns` lets lines be a shell's `start)`. `has_body_below` says that what the
    cursor's line is about to open has its body and its closing brace below. `begun_opener` is the
    beginning of a string's opener left of the cursor, such as the `r` of `r#"`.
    """

    language: Language
    extent: Extent
    max_lines: int
    start_column: int | None
    is_settled: bool
    floor_column: int
    is_floor_strict: bool
    closable: str
    inside_opener: str | None
    is_inside_closed: bool
    right_sign: str
    forbidden_clauses: frozenset[str]
    may_begin_clause: bool
    is_header: bool
    includes_closer: bool
    has_let_else: bool
    closing_column: int | None = None
    n_closers_after: int = 0
    line_left: str = ""
    is_word_closed: bool = True
    has_case_patterns: bool = False
    has_body_below: bool = False
    begun_opener: str = ""


def closer_of(language: Language, opener: str) -> str:
    """What ends a string or block comment; empty where the line's end does."""
    closers = {form.opener: form.closer for form in language.strings}
    return (closers | dict(language.block_comments)).get(opener, "")
