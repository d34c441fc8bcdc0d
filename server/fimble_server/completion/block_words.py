"""Counting blocks that words open and close (`if ... end`, `do ... done`) in a growing middle.

Owns which words inside of a line are the middle's to write: those that close or go on with a
block which the middle itself has opened. Where lines begin is judged by columns, in `reading`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fimble_server.document.languages import Language
from fimble_server.document.lexemes import LexemeKind

__all__ = ["BlockWords", "OpenPart"]

_BEGUN_WORD = re.compile(r"\w*\Z")
_OPENERS = frozenset(
    {"if", "unless", "while", "until", "for", "case", "begin", "def", "class", "module"}
    | {"do", "function", "repeat"}
)
# `while x do` is one block, not two.
_WITH_DO = frozenset({"while", "until", "for"})
# A statement may begin after these, so that an `if` there is no modifier of what precedes it.
_BEFORE_STATEMENTS = frozenset({"then", "do", "else", "begin", "and", "or", "not"})
# `rescue` and `when` have other uses within a line.
_LINE_CLAUSES = frozenset({"else", "elsif", "elseif", "elif"})


class OpenPart(NamedTuple):
    """A bracket or a word that has opened something, and where it stands in the middle."""

    sign: str
    offset: int


class BlockWords:
    """Keeps the invariant that the blocks `own`, opened by what was read, are not closed yet.

    `n_left` counts blocks that the cursor's line has opened and that nothing below closes: the
    middle may close them, but not write their siblings.
    """

    def __init__(self, language: Language, line_left: str, *, is_closed: bool) -> None:
        self.own: list[OpenPart] = []
        self._language = language
        self._is_shell = language.has_case_parentheses
        self._is_statement_start = True
        self._awaits_do = False
        self._last = ""
        self._n_left = 0
        # `fo<|>` and `r` are one word, and what the line opens may be closed below.
        self._begun_word = _BEGUN_WORD.search(line_left).group()  # type: ignore[union-attr]  # it matches the empty word
        self._is_line_closed = False
        if line_left.strip():
            self._read_left(line_left.removesuffix(self._begun_word), is_closed=is_closed)
            self._is_line_closed = is_closed

    def _read_left(self, line_left: str, *, is_closed: bool) -> None:
        for word in line_left.replace(";", " ; ").split():
            kind = LexemeKind.WORD if word.isidentifier() else LexemeKind.OTHER
            kind = LexemeKind.PUNCTUATION if word == ";" else kind
            self.take(kind, word, 0, is_line_start=False)
        self._n_left = 0 if is_closed else len(self.own)
        self.own.clear()

    def begin_line(self) -> None:
        """A line has ended: what follows begins a statement."""
        self._is_statement_start, self._awaits_do, self._last = True, False, ""
        self._is_line_closed = False

    def take(self, kind: LexemeKind, lexeme: str, start: int, *, is_line_start: bool) -> bool:
        """Read one lexeme. False where it is a word that is not the middle's to write."""
        is_allowed = True
        if self._begun_word:
            begun, self._begun_word = self._begun_word, ""
            kind, lexeme = self._joined(kind, lexeme, begun)
        if kind is LexemeKind.WORD and not self._last.endswith((".", ":", "$", "-", "@")):
            is_allowed = self._take_word(lexeme, start, is_line_start=is_line_start)
        self._is_statement_start = self._begins_statement_after(kind, lexeme)
        self._last = lexeme
        return is_allowed

    def _joined(self, kind: LexemeKind, lexeme: str, begun: str) -> tuple[LexemeKind, str]:
        """The middle's first lexeme with the word that it may go on with."""
        if kind is LexemeKind.WORD:
            return kind, begun + lexeme
        self._take_word(begun, 0, is_line_start=False)
        self._is_statement_start = self._begins_statement_after(LexemeKind.WORD, begun)
        self._last = begun
        return kind, lexeme

    def _take_word(self, word: str, start: int, *, is_line_start: bool) -> bool:
        if word in self._language.closing_words and self._may_be_keyword():
            if self.own:
                self.own.pop()
            elif self._n_left > 0:
                self._n_left -= 1
            else:
                return is_line_start
        elif word in _LINE_CLAUSES and self._may_be_keyword():
            return is_line_start or bool(self.own)
        elif word in _OPENERS and self._opens(word):
            if not self._is_line_closed:
                self.own.append(OpenPart(word, start))
            self._awaits_do = word in _WITH_DO
        return True

    def _opens(self, word: str) -> bool:
        if word == "do":
            is_new, self._awaits_do = not self._awaits_do and not self._is_shell, False
            return is_new
        if word == "function":
            return not self._is_shell
        return self._is_statement_start or self._language.language_id == "lua"

    def _may_be_keyword(self) -> bool:
        return self._is_statement_start or not self._is_shell

    def _begins_statement_after(self, kind: LexemeKind, lexeme: str) -> bool:
        if kind is LexemeKind.SPACE:
            return self._is_statement_start
        if kind is LexemeKind.WORD:
            return lexeme in _BEFORE_STATEMENTS or lexeme in self._language.closing_words
        if kind in (LexemeKind.STRING, LexemeKind.CLOSER):
            return False
        return lexeme not in (".", ":", "::", "-", "$", "@") and lexeme[-1:] not in "$-"
