"""The facts at the cursor that the mode decision and the stop rules are made from.

Owns `SyntaxFacts` and how they are gathered. Never raises and never decides: what to do about
the facts is the completion wing's business.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from fimble_server.document.blocks import Block, Line, build_block, line_at, own_column
from fimble_server.document.braces import braced_block, innermost_brace, is_block_brace
from fimble_server.document.indentation import (
    indented_block,
    is_after_jump,
    is_closed_below,
    is_column_settled,
    n_holding_brackets,
)
from fimble_server.document.languages import BlockKind, Language, Layout
from fimble_server.document.lexemes import LexemeKind, column_at, lexicon_of
from fimble_server.document.parsed import Parsed, parse
from fimble_server.document.scan import (
    Closer,
    Inside,
    Opener,
    Scan,
    find_split_mark,
    scan_above,
    scan_below,
    skip_inside,
)

__all__ = ["Above", "Parsed", "SyntaxFacts", "inspect", "parse"]

_WORD = re.compile(r"\w+")
_MODIFIERS = frozenset({"async", "pub", "export", "static", "default", "public", "private"})
_BLANKS = (LexemeKind.NEWLINE, LexemeKind.SPACE, LexemeKind.COMMENT)
_MAX_CHARS_RIGHT = 500  # guessed: an `else` is not further away
_MAX_HEADER_CHARS = 300
# `it("adds", ...)`, `def test_add():`, `func TestAdd(`, `TEST(Suite, Name)`.
_TEST_HEADER = re.compile(
    r"""(?<![\w.])(?:it|test|specify|scenario)(?:\.\w+)?\s*\(?\s*["'`]"""
    r"|\b(?:def|function|fn|func|fun)\s+[tT]est\w*\s*[(:]?|\bTEST(?:_F|_P|_CASE)?\s*\("
)
_TEST_MARK = re.compile(r"\s*(?:@Test\b|#\[(?:\w+::)?test\b|\[(?:Fact|Theory|Test|TestMethod)\b)")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Above(enum.Enum):
    """What stands on the line directly above a blank line at the cursor."""

    NOTHING = "nothing"
    CODE = "code"
    COMMENT = "comment"
    DOCSTRING = "docstring"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxFacts:
    """What the text says about the cursor.

    `line_left` and `line_right` are the cursor's line on both sides. `inside` is the string or
    comment the cursor is in. `open_brackets` are those the statement at the cursor has opened,
    innermost last; the closers of the last `n_closed_right` of them stand right of or below
    the cursor. `is_below_blank` says that nothing stands on the line after the cursor's.
    `is_settled` says that the cursor's blank line is indented like a statement above which it may
    follow, so that a line further in would belong to nothing; `is_after_jump` that this statement
    is the last one of its block, such as a `return`.
    `is_header` says that the cursor's line begins with a word that opens a block,
    `is_after_brace` that the last code left of or above the cursor is a closing brace.
    `word_right` is the word that the code right of or below the cursor begins with, if any.
    `is_mark_cut` says that the cursor parts the signs that begin a comment, `is_test` that the
    block at the cursor is the body of a test which has a name. `n_holders_open` counts brackets
    that hold the block at the cursor and that nothing closes below. `is_closed_below` says that
    the word that closes a block of the cursor's own line stands below, `has_body_below` that the
    closing brace of a block does which that line has not opened yet.
    In `print(len("😀<|>"))` the open brackets are `((`, and both are closed on the right.
    """

    language: Language
    cursor: int
    line_left: str
    line_right: str
    inside: Inside | None
    is_docstring: bool
    block: Block
    above: Above
    open_brackets: str
    n_closed_right: int
    n_holders_open: int
    is_word_cut: bool
    is_mark_cut: bool
    is_test: bool
    is_closed_below: bool
    has_body_below: bool
    is_settled: bool
    is_after_jump: bool
    is_below_blank: bool
    is_header: bool
    is_after_brace: bool
    word_right: str

    @property
    def is_line_blank(self) -> bool:
        """True where nothing but space stands on the cursor's line."""
        return not self.line_left.strip() and not self.line_right.strip()

    @property
    def is_at_line_start(self) -> bool:
        """True where nothing but space stands left of the cursor."""
        return not self.line_left.strip()


def inspect(parsed: Parsed, cursor: int) -> SyntaxFacts:
    """Gather the facts at a cursor, a character offset from 0 to the text's length."""
    text = parsed.text
    line = line_at(text, cursor)
    scan = scan_above(parsed, cursor)
    mark = find_split_mark(parsed.language, text, cursor)
    if mark is not None and scan.inside is not None and mark.start == scan.inside.start:
        scan.inside = None  # A slash alone looks like a regular expression's.
    below = scan_below(parsed, cursor, scan.inside, len(scan.opened) + 1)
    closers = _closers(parsed, cursor, scan, below)
    block = _enclosing_block(parsed, cursor, line, scan, closers)
    n_holding = n_holding_brackets(parsed, scan)
    brackets = _statement_brackets(parsed, scan, n_holding)
    next_line = line_at(text, min(len(text), text.find("\n", cursor) + 1 or len(text)))
    return SyntaxFacts(
        language=parsed.language,
        cursor=cursor,
        line_left=line.left,
        line_right=line.right,
        inside=scan.inside,
        is_docstring=_is_docstring(parsed, scan),
        block=block,
        above=_above(parsed, cursor, line, scan),
        open_brackets=brackets,
        n_closed_right=_n_closed(closers[: len(brackets)]),
        n_holders_open=n_holding - _n_closed(closers[len(brackets) :]),
        is_word_cut=_is_word_cut(line),
        is_mark_cut=scan.inside is None
        and find_split_mark(parsed.language, text, cursor) is not None,
        is_test=_is_test(text, block),
        is_closed_below=_is_closed_below(parsed, line),
        has_body_below=_has_body_below(parsed, line, scan, below),
        is_after_jump=line.is_blank and is_after_jump(parsed, line, scan),
        is_settled=line.is_blank and is_column_settled(parsed, line, scan),
        is_below_blank=not (next_line.left + next_line.right).strip(),
        is_header=_is_header(parsed.language, line),
        is_after_brace=_is_after_brace(text, scan),
        word_right=_word_right(parsed, cursor),
    )


def _enclosing_block(
    parsed: Parsed, cursor: int, line: Line, scan: Scan, closers: list[Closer | None]
) -> Block:
    is_indented = parsed.language.layout is Layout.INDENTATION
    brace_index = None if is_indented else innermost_brace(parsed, scan)
    n_block_brackets = n_holding_brackets(parsed, scan) if brace_index is None else brace_index + 1
    if line.is_blank and len(scan.opened) > n_block_brackets:
        return _bracket_block(parsed, cursor, scan, closers)
    if is_indented:
        return indented_block(parsed, cursor, line, scan)
    return braced_block(parsed, cursor, line, scan, closers)


def _bracket_block(parsed: Parsed, cursor: int, scan: Scan, closers: list[Closer | None]) -> Block:
    opener = scan.opened[-1]
    column = column_at(parsed.text, opener.offset)
    return build_block(
        BlockKind.BRACKETS,
        column,
        column,
        opener=opener.offset,
        has_closer=bool(closers) and closers[0] is not None,
        is_empty=not parsed.text[opener.offset + 1 : cursor].strip(),
    )


def _closers(parsed: Parsed, cursor: int, scan: Scan, below: list[Closer]) -> list[Closer | None]:
    """What below closes each bracket that is open at the cursor, the innermost first.

    None stands for a bracket that nothing closes while one further out is closed.
    """
    if not scan.opened:
        return []
    closers: list[Closer | None] = []
    opened = list(scan.opened)
    for closer in below:
        is_below = "\n" in parsed.text[cursor : closer.offset]
        skipped: list[None] = []
        while opened and not (
            closer.character == _PAIRS[opened[-1].character]
            and (not is_below or _may_close(parsed, opened, closer))
        ):
            skipped.append(None)
            opened.pop()
        if not opened:
            break
        opened.pop()
        closers += [*skipped, closer]
    return closers


def _n_closed(closers: list[Closer | None]) -> int:
    return sum(closer is not None for closer in closers)


def _may_close(parsed: Parsed, opened: list[Opener], closer: Closer) -> bool:
    """False for a closer that is indented like the next block further out: it closes that one."""
    column = column_at(parsed.text, closer.offset)
    if column >= column_at(parsed.text, opened[-1].header):
        return True
    own_line = parsed.text.rfind("\n", 0, opened[-1].header)
    for opener in reversed(opened[:-1]):
        is_other_line = parsed.text.rfind("\n", 0, opener.header) != own_line
        if opener.character == "{" and is_other_line:
            return column > column_at(parsed.text, opener.header)
    return opened[-1].character == "{"


def _statement_brackets(parsed: Parsed, scan: Scan, n_holding: int) -> str:
    brackets = ""
    for opener in reversed(scan.opened[n_holding:]):
        if is_block_brace(parsed, opener):
            break
        brackets = opener.character + brackets
    return brackets


def _is_test(text: str, block: Block) -> bool:
    """True where the block's header, or the line above it, says that this is a test."""
    if block.header_start is None:
        return False
    header = line_at(text, block.header_start)
    above = line_at(text, max(0, block.header_start - 1))
    return (
        _TEST_HEADER.search(header.right[:_MAX_HEADER_CHARS]) is not None
        or _TEST_MARK.match(above.left[:_MAX_HEADER_CHARS]) is not None
    )


def _is_closed_below(parsed: Parsed, line: Line) -> bool:
    if line.is_blank or not parsed.language.closing_words:
        return False
    return is_closed_below(parsed, line.end, own_column(line))


def _has_body_below(parsed: Parsed, line: Line, scan: Scan, below: list[Closer]) -> bool:
    """True where the first brace that closes nothing below is indented like the cursor's line."""
    if line.is_blank or parsed.language.layout is Layout.INDENTATION:
        return False
    column = own_column(line)
    braces = [opener for opener in scan.opened if opener.character == "{"]
    if braces and column_at(parsed.text, braces[-1].header) >= column:
        return False
    brace = next((closer for closer in below if closer.character == "}"), None)
    return (
        brace is not None
        and brace.offset > line.end
        and column_at(parsed.text, brace.offset) == column
    )


def _is_word_cut(line: Line) -> bool:
    def is_name(character: str) -> bool:
        return character.isalnum() or character == "_"

    return is_name(line.left[-1:]) and is_name(line.right[:1])


def _above(parsed: Parsed, cursor: int, line: Line, scan: Scan) -> Above:
    if not line.is_blank or line.start == 0:
        return Above.NOTHING
    text = parsed.text
    if scan.last_comment and _is_line_above(text, scan.last_comment, cursor):
        return Above.COMMENT
    if scan.last_code and _is_line_above(text, scan.last_code[1:], cursor):
        is_string = scan.last_code[0] == LexemeKind.STRING
        is_python = parsed.language.layout is Layout.INDENTATION
        return Above.DOCSTRING if is_string and is_python else Above.CODE
    before = line_at(text, line.start - 1)
    return Above.CODE if (before.left + before.right).strip() else Above.NOTHING


def _is_line_above(text: str, span: tuple[int, int], cursor: int) -> bool:
    """True where `[start, end)` begins a line and ends the line above the cursor's."""
    start, end = span
    between = text[end:cursor]
    return (
        not between.strip()
        and between.count("\n") == 1
        and not text[text.rfind("\n", 0, start) + 1 : start].strip()
    )


def _is_docstring(parsed: Parsed, scan: Scan) -> bool:
    inside = scan.inside
    if inside is None or inside.is_comment or len(inside.opener) < 3:
        return False
    start = parsed.text.rfind("\n", 0, inside.start) + 1
    return not parsed.text[start : inside.start].strip("rRbBuU \t")


def _is_header(language: Language, line: Line) -> bool:
    """True where the line at the cursor begins with a word that opens a block."""
    for found in _WORD.finditer(line.left):  # A line may be a megabyte long: one word at a time.
        word = found.group()
        if word not in _MODIFIERS:
            return language.headers.get(word, BlockKind.OTHER) is not BlockKind.OTHER
    return False


def _is_after_brace(text: str, scan: Scan) -> bool:
    return scan.last_code is not None and text[scan.last_code[1]] == "}"


def _word_right(parsed: Parsed, cursor: int) -> str:
    lexeme = lexicon_of(parsed.language).lexeme
    limit = min(len(parsed.text), cursor + _MAX_CHARS_RIGHT)
    position = skip_inside(parsed, cursor, None, limit)
    while position < limit and (found := lexeme.match(parsed.text, position, limit)):
        if found.lastindex not in _BLANKS:
            return found.group() if found.lastindex == LexemeKind.WORD else ""
        position = found.end()
    return ""
