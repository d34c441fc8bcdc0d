"""Where a middle must stop: the rule that runs inside the decode loop, built from the facts.

Owns the step from what stands around the cursor to a `Boundary`. Knows nothing of modes or
models. Tokens beyond the rule's cut are never computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble_server.completion.boundary import Boundary, Extent
from fimble_server.completion.reading import Reader
from fimble_server.document.blocks import Block
from fimble_server.document.languages import BlockKind, Layout
from fimble_server.document.lexemes import n_columns
from fimble_server.document.syntax import SyntaxFacts

__all__ = ["Extent", "MiddleStop", "build_stop"]

_MAX_READERS = 4
_LABELS = frozenset({"case", "default", "when"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddleStop:
    """A stop rule over one boundary. Equal boundaries give equal cuts, whatever was read before.

    `_readers` only saves reading a middle again from its start: each has read a prefix of some
    middle, and is dropped when no middle continues it.
    """

    boundary: Boundary
    _readers: list[Reader] = field(default_factory=list, compare=False, repr=False)

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None while `middle` may grow on; else how many of its characters to keep.

        Called from one thread only.
        """
        for reader in self._readers:
            if middle.startswith(reader.text) and (reader.cut is None or reader.text):
                return reader.read(middle, is_whole=False)
        reader = Reader(self.boundary)
        self._readers.append(reader)
        del self._readers[:-_MAX_READERS]
        return reader.read(middle, is_whole=False)

    def n_chars_at_end(self, middle: str, *, is_finished: bool) -> int:
        """How many characters to keep of a middle that no more text follows. Any thread.

        `is_finished` is True where the model ended it. Where time or tokens ran out instead, an
        unfinished last line goes when whole lines stand before it.
        """
        reader = Reader(self.boundary)
        cut = reader.read(middle, is_whole=True)
        if cut is not None:
            return cut
        safe_end = reader.safe_end
        if not is_finished and safe_end is not None:
            return safe_end
        return len(middle.rstrip())


def build_stop(
    facts: SyntaxFacts, extent: Extent, max_lines: int, *, includes_closer: bool = False
) -> MiddleStop:
    """The stop rule for a middle at the cursor. `includes_closer` where no closer stands below."""
    language, block = facts.language, facts.block
    is_braces = language.layout is Layout.BRACES
    right = facts.line_right.strip()
    is_let = language.language_id == "rust" and "let " in facts.line_left
    boundary = Boundary(
        language=language,
        extent=extent,
        max_lines=max_lines,
        start_column=n_columns(facts.line_left) if facts.is_at_line_start else None,
        is_settled=facts.is_settled,
        floor_column=block.body_column,
        is_floor_strict=not is_braces,
        closable=facts.open_brackets[: len(facts.open_brackets) - facts.n_closed_right],
        inside_opener=facts.inside.opener if facts.inside else None,
        is_inside_closed=_is_inside_closed(facts),
        right_sign=right[:1] if right[:1] in (";", ",", ":") else "",
        forbidden_clauses=_forbidden_clauses(facts),
        may_begin_clause=_may_begin_clause(facts),
        is_header=facts.is_header,
        includes_closer=includes_closer and _is_brace_missing(block),
        has_let_else=is_let,
        closing_column=_closing_column(facts) if includes_closer else None,
        n_closers_after=facts.n_holders_open,
        line_left=facts.line_left if language.closing_words and not facts.inside else "",
        is_word_closed=_is_word_closed(facts),
        has_body_below=facts.has_body_below,
        begun_opener=_begun_opener(facts),
        has_case_patterns=language.has_case_parentheses and not facts.open_brackets,
    )
    return MiddleStop(boundary=boundary)


def _is_brace_missing(block: Block) -> bool:
    """True where nothing closes the block yet; the brackets of an expression are no block."""
    is_block = block.opener is not None and block.kind is not BlockKind.BRACKETS
    return is_block and not block.has_closer


def _closing_column(facts: SyntaxFacts) -> int | None:
    """Where the word belongs that closes the block at the cursor and is missing; else None."""
    is_missing = bool(facts.language.closing_words) and not facts.block.has_closer
    is_statement = facts.block.kind not in (BlockKind.MODULE, BlockKind.BRACKETS, BlockKind.CASE)
    return facts.block.header_column if is_missing and is_statement else None


def _begun_opener(facts: SyntaxFacts) -> str:
    """What of an opener such as `r#"` stands left of the cursor, as a word of its own."""
    for form in facts.language.strings if facts.inside is None else ():
        for n_chars in range(len(form.opener) - 1, 0, -1):
            begun = form.opener[:n_chars]
            before = facts.line_left[: -len(begun)][-1:]
            is_word = begun[0].isalnum() and not (before.isalnum() or before == "_")
            if is_word and facts.line_left.endswith(begun):
                return begun
    return ""


def _is_word_closed(facts: SyntaxFacts) -> bool:
    """True where a word that closes the line's block stands right of the cursor or below."""
    return facts.is_closed_below or bool(
        facts.language.closing_words & set(facts.line_right.split())
    )


def _may_begin_clause(facts: SyntaxFacts) -> bool:
    """True where the cursor is past a body and its `else` or the like is not written yet."""
    is_braces = facts.language.layout is Layout.BRACES
    is_past_body = facts.is_after_brace if is_braces else facts.is_line_blank
    return is_past_body and facts.word_right not in facts.language.clauses


def _forbidden_clauses(facts: SyntaxFacts) -> frozenset[str]:
    """The words that would begin a sibling of the block at the cursor.

    A `case` inside of a switch is what the switch is made of; inside of a case it is a sibling.
    Where indentation makes blocks, a sibling case is less indented and needs no word.
    """
    is_case = facts.block.kind is BlockKind.CASE and facts.language.layout is Layout.BRACES
    is_label = facts.line_left.split()[:1] and facts.line_left.split()[0].rstrip(":") in _LABELS
    is_in_words = bool(facts.language.closing_words) and facts.block.kind is not BlockKind.SWITCH
    if is_case or is_label or is_in_words:
        return facts.language.clauses
    return facts.language.clauses - _LABELS


def _is_inside_closed(facts: SyntaxFacts) -> bool:
    """True where the string or comment at the cursor ends on the right, on the same line."""
    if facts.inside is None:
        return False
    closers = {form.opener: form.closer for form in facts.language.strings}
    closers |= dict(facts.language.block_comments)
    closers |= {"/": "/"} if facts.language.has_regex_literals else {}
    closer = closers.get(facts.inside.opener)
    return closer is not None and closer in facts.line_right
