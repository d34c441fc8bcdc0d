"""Reading a growing middle lexeme by lexeme, up to where it must end.

Owns the state machine behind the stop rules. A cut is decided by the text before it alone, so
more text never moves it. Knows nothing of modes, models or the buffer beyond `Boundary`.
"""

from __future__ import annotations

from fimble_server.completion.block_words import BlockWords, OpenPart
from fimble_server.completion.boundary import Boundary, Extent, closer_of
from fimble_server.document.languages import Layout
from fimble_server.document.lexemes import LexemeKind, Lexicon, lexicon_of, n_columns

__all__ = ["OpenPart", "Reader"]

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CONTINUING_SIGNS = ".?:&|+*=<-"
# Words of Python that begin statements and stand in no expression.
_NEVER_IN_BRACKETS = frozenset(
    {"assert", "break", "class", "continue", "def", "del", "except", "finally", "global"}
    | {"import", "pass", "raise", "return", "try", "while", "with"}
)
_MAX_LEADING_NEWLINES = 2  # A middle that begins with more is not going anywhere.
_TRY_CLAUSES = ("catch", "finally")


class Reader:
    """Reads a middle that only grows. Invariant: `[0, position)` is read, the rest may change.
    `cut` is how many characters to keep once that is known, and never changes after.
    """

    def __init__(self, boundary: Boundary) -> None:
        self.text = ""
        self.cut: int | None = None
        self._boundary = boundary
        self._lexicon: Lexicon = lexicon_of(boundary.language)
        self._is_braces = boundary.language.layout is Layout.BRACES
        self._position = 0
        self._opened: list[OpenPart] = []
        self._line_ends: list[tuple[int, tuple[OpenPart, ...]]] = []
        self._n_closable = len(boundary.closable)
        self._floor = boundary.floor_column
        self._column: int | None = boundary.start_column
        self._is_line_start = boundary.start_column is not None
        self._is_first = True
        self._is_inside = boundary.inside_opener is not None
        self._own_headers: set[int] = set()
        self._n_own_ifs = 0
        self._has_own_try = False
        self._has_let = boundary.has_let_else
        self._has_statement = boundary.start_column is None
        self._is_after_jump = False
        self._safe_end: int | None = None
        self._safe_before: int | None = None
        self._n_looked_at = 0
        self._n_lines_ended = -1  # Not yet begun: only blanks so far.
        self._n_closers_left: int | None = None
        self._is_prelude_line = False
        self._ends_with_line = False
        self._words = (
            BlockWords(boundary.language, boundary.line_left, is_closed=boundary.is_word_closed)
            if boundary.language.closing_words
            else None
        )

    def read(self, text: str, *, is_whole: bool) -> int | None:
        """Read on in a text that begins with what was read before. Returns the cut, if known.

        Only a whole text has its last lexeme read: while it grows, that may become another.
        """
        if self.cut is not None:
            return self.cut
        self.text = text
        limit = self._find_limit()
        end = len(text) if limit is None else limit
        self._read_to(end, is_whole=is_whole or limit is not None)
        if self.cut is None and limit is not None:
            self.cut = self._kept_at(limit)
        return self.cut

    @property
    def safe_end(self) -> int | None:
        """Where the last whole line ended with all of the middle's own brackets closed."""
        return self._safe_end

    @property
    def opened(self) -> list[OpenPart]:
        """What the middle has opened and not closed, the outermost first."""
        words = self._words.own if self._words is not None else []
        return sorted([*self._opened, *words], key=lambda part: part.offset)

    @property
    def line_ends(self) -> list[tuple[int, tuple[OpenPart, ...]]]:
        """Where the lines read so far end, each with what was open there."""
        return self._line_ends

    def _kept_at(self, limit: int) -> int:
        self._note_safe_end(limit)
        if self._safe_end is not None and self._boundary.extent is not Extent.LINE:
            return self._safe_end
        return len(self.text[:limit].rstrip())

    def _find_limit(self) -> int | None:
        """Where the last allowed line ends, None while it has not ended. Leading blanks are free.

        What was looked at before is not looked at again.
        """
        text, position = self.text, self._n_looked_at
        if self._n_lines_ended < 0:
            while position < len(text) and text[position].isspace():
                position += 1
            if text.count("\n", 0, position) > _MAX_LEADING_NEWLINES:
                return 0
            self._n_looked_at = position
            if position == len(text):
                return None
            self._n_lines_ended = 0
        while (line_end := text.find("\n", position)) >= 0:
            self._n_lines_ended += 1
            if self._n_lines_ended == self._boundary.max_lines:
                return line_end
            position = line_end + 1
        self._n_looked_at = max(position, len(text))
        return None

    def _read_to(self, end: int, *, is_whole: bool) -> None:
        if self._is_inside and not self._leave_inside(end, is_whole=is_whole):
            return
        if self._position == 0 and self._boundary.begun_opener:
            self._position = self._end_of_begun_string(end)
        match = self._lexicon.lexeme.match
        while self.cut is None and self._position < end:
            found = match(self.text, self._position, end)
            assert found is not None  # The last alternative matches any character.
            kind = LexemeKind(found.lastindex or LexemeKind.OTHER)
            is_certain = kind in (LexemeKind.NEWLINE, LexemeKind.OPENER, LexemeKind.CLOSER)
            if found.end() == end and not is_certain and not is_whole:
                return
            self._take(kind, found.group(), found.start())
            self._position = found.end()

    def _end_of_begun_string(self, end: int) -> int:
        """Where the string ends whose opener the cursor has cut; 0 where it is none after all."""
        begun = self._boundary.begun_opener
        for form in self._boundary.language.strings:
            start = len(form.opener) - len(begun)
            if start > 0 and (begun + self.text[:start]) == form.opener:
                found = self._lexicon.remainders[form.opener].match(self.text, start, end)
                assert found is not None  # Every remainder may end at the end of the text.
                return found.end() if found.end() < end else 0
        return 0

    def _leave_inside(self, end: int, *, is_whole: bool) -> bool:
        """Read to the end of the string or comment that the cursor is in."""
        opener = self._boundary.inside_opener
        assert opener is not None
        line_end = min(end, (self.text + "\n").find("\n"))
        found = self._lexicon.remainders[opener].match(self.text, 0, end)
        assert found is not None  # Every remainder may end at the end of the text.
        if found.end() > line_end or (found.end() == line_end < end):
            self._cut_at(line_end)
            return False
        if found.end() == end and not is_whole:
            return False
        if self._boundary.is_inside_closed:
            closer = closer_of(self._boundary.language, opener)
            # A whole middle may also end without the closer: then all of it is inside.
            n_inside = len(found.group().removesuffix(closer))
            self._cut_at(n_inside, trims=False)
            return False
        self._is_inside = False
        self._is_first = self._is_line_start = False
        self._position = found.end()
        return True

    def _cut_at(self, offset: int, *, trims: bool = True) -> None:
        self.cut = len(self.text[:offset].rstrip()) if trims else offset

    def _take(self, kind: LexemeKind, lexeme: str, start: int) -> None:
        if self._n_closers_left is not None:
            self._take_after_end(kind, start)
            return
        if kind is LexemeKind.NEWLINE:
            self._end_line(start)
            return
        if kind is LexemeKind.SPACE:
            if self._is_line_start:
                self._column = (self._column or 0) + n_columns(lexeme)
            return
        if self._is_line_start:
            self._begin_line(kind, lexeme, start)
        if self.cut is None and self._n_closers_left is None:
            self._take_code(kind, lexeme, start)
        self._is_line_start = False
        if kind is not LexemeKind.COMMENT:
            self._is_first = False

    def _take_after_end(self, kind: LexemeKind, start: int) -> None:
        """After the word that closes the block nothing but brackets may follow."""
        assert self._n_closers_left is not None
        if kind is not LexemeKind.CLOSER or self._n_closers_left == 0:
            self._cut_at(start)
            return
        self._n_closers_left -= 1

    def _end_line(self, offset: int) -> None:
        if self._ends_with_line:
            self._cut_at(offset)
            return
        if not self._is_prelude_line or self.opened:
            self._line_ends.append((len(self.text[:offset].rstrip()), tuple(self.opened)))
        if self._words is not None:
            self._words.begin_line()
        has_open = bool(self._opened) or self._n_closable > 0
        if has_open and self._ends_like_a_header(offset):
            colon = self.text.rindex(":", 0, offset)
            self._cut_at((self._safe_end or 0) if self._opened else colon)
            return
        if self._boundary.extent is Extent.LINE:
            signs = {part.sign for part in self._opened}
            is_block_open = self._boundary.is_header and signs == {"{"}
            if not has_open or is_block_open:
                self._cut_at(offset)
                return
        self._note_safe_end(offset)
        self._is_line_start = True
        self._has_let = False
        self._column = 0

    def _note_safe_end(self, offset: int) -> None:
        """A line may be the last one where no bracket and no header waits for what follows."""
        end = len(self.text[:offset].rstrip())
        if (self._words is not None and self._words.own) or self._is_prelude_line:
            return
        is_open = not self._is_braces and self.text[:end].endswith((":", "\\"))
        if end and not is_open and not self._opened and self._n_closable <= 0:
            self._safe_before, self._safe_end = self._safe_end, end

    def _begin_line(self, kind: LexemeKind, lexeme: str, start: int) -> None:
        """Judge a line by what it begins with: is it still in the block, and a new statement?"""
        column = self._column or 0
        self._is_prelude_line = lexeme[0] == "@" or lexeme == "template"
        is_in_closable = self._n_closable > 0 and kind is not LexemeKind.CLOSER
        if (self._opened or is_in_closable) and self._is_never_closed(lexeme, column):
            self._cut_at((self._safe_end or 0) if self._opened else start)
            return
        if self._opened or kind is LexemeKind.CLOSER:
            return
        if lexeme == "{" and self._is_braces:  # What stands above it is its header.
            self._safe_end = self._safe_before
            del self._line_ends[-1:]
        if self._is_first and self._is_too_far_in(column):
            self._cut_at(start)
            return
        if self._is_first and (column > self._floor or not self._boundary.is_floor_strict):
            self._floor = column
        if column < self._floor:
            if not self._may_close(column, lexeme):
                self._cut_at(start)
            return
        language = self._boundary.language
        is_clause, is_end = lexeme in language.clauses, lexeme in language.closing_words
        if is_end and column == self._floor and column not in self._own_headers:
            if column == self._boundary.closing_column:
                self._may_close(column, lexeme)
            elif self._words is not None and not self._words.own:
                self._cut_at(start)
            return
        if not self._is_braces and is_clause and column == self._floor:
            may_begin = column in self._own_headers or self._may_begin_clause()
            if not may_begin and self._is_forbidden(lexeme):
                self._cut_at(start)
                return
        if column == self._floor and kind is not LexemeKind.COMMENT:
            if self._is_after_jump and not is_clause:
                self._cut_at(start)
                return
            self._is_after_jump = kind is LexemeKind.WORD and lexeme in language.jumps
        if column <= self._floor and not is_clause and self._is_new_statement(kind, lexeme):
            if self._boundary.extent is Extent.STATEMENT and self._has_statement:
                self._cut_at(start)
                return
            self._has_statement = kind is not LexemeKind.COMMENT and not _is_prelude(lexeme)
        self._has_statement = self._has_statement or is_clause
        self._note_header(kind, lexeme, column)

    def _note_header(self, kind: LexemeKind, lexeme: str, column: int) -> None:
        """Remember which columns hold a header of our own: its clauses may follow there."""
        if lexeme in self._boundary.language.headers:
            self._own_headers.add(column)
        elif kind is not LexemeKind.COMMENT:
            self._own_headers.discard(column)

    def _may_close(self, column: int, lexeme: str) -> bool:
        """Take the word that closes the block at the cursor, where that is still missing."""
        closers = self._boundary.language.closing_words
        is_sign = lexeme == "}" and bool(closers)
        if column != self._boundary.closing_column or not (is_sign or lexeme in closers):
            return False
        if lexeme == "until":  # Its condition follows.
            self._ends_with_line = True
        else:
            self._n_closers_left = self._boundary.n_closers_after
        return True

    def _ends_like_a_header(self, offset: int) -> bool:
        """True where a line in round brackets ends with a colon, as no line of Python does."""
        is_python = self._boundary.language.language_id == "python"
        innermost = self._opened[-1].sign if self._opened else self._boundary.closable[-1:]
        return is_python and innermost == "(" and self.text[:offset].rstrip().endswith(":")

    def _is_too_far_in(self, column: int) -> bool:
        start = self._boundary.start_column
        return self._boundary.is_settled and start is not None and column > start

    def _is_never_closed(self, lexeme: str, column: int) -> bool:
        """True where a line cannot stand in the bracket that the middle has left open.

        NOTE: a preprocessor's lines stand where they like.
        """
        if self._is_braces:
            return column < self._floor and lexeme[0] != "#"
        is_python = self._boundary.language.language_id == "python"
        return column < self._floor or (is_python and lexeme in _NEVER_IN_BRACKETS)

    def _is_new_statement(self, kind: LexemeKind, lexeme: str) -> bool:
        if not self._is_braces:
            return True
        return kind is not LexemeKind.OPENER and lexeme[0] not in _CONTINUING_SIGNS

    def _may_begin_clause(self) -> bool:
        is_here = self._is_braces or "\n" not in self.text[: self._position]
        return self._is_first and is_here and self._boundary.may_begin_clause

    def _is_own_clause(self, word: str) -> bool:
        return self._has_let if word == "else" else self._has_own_try and word in _TRY_CLAUSES

    def _is_forbidden(self, word: str) -> bool:
        return word in self._boundary.forbidden_clauses

    def _take_code(self, kind: LexemeKind, lexeme: str, start: int) -> None:
        if kind is LexemeKind.OPENER:
            self._opened.append(OpenPart(lexeme, start))
        elif kind is LexemeKind.CLOSER:
            self._take_closer(lexeme, start)
        elif self._opened:
            return
        elif self._words is not None:
            self._take_lexeme_of_words(kind, lexeme, start)
        elif kind is LexemeKind.WORD and self._is_braces:
            self._take_word(lexeme, start)
        elif lexeme == self._boundary.right_sign and self._n_closable == 0:
            self._cut_at(start)

    def _take_lexeme_of_words(self, kind: LexemeKind, lexeme: str, start: int) -> None:
        assert self._words is not None
        if lexeme in self._boundary.language.modifiers and not self._is_line_start:
            self._is_after_jump = False
        if kind is LexemeKind.COMMENT:
            return
        is_own = self._words.take(kind, lexeme, start, is_line_start=self._is_line_start)
        if not is_own or (lexeme == self._boundary.right_sign and self._n_closable == 0):
            self._cut_at(start)

    def _take_closer(self, lexeme: str, start: int) -> None:
        closable = self._boundary.closable[: max(0, self._n_closable)]
        innermost = self._opened[-1].sign if self._opened else closable[-1:]
        if innermost and _PAIRS[innermost] != lexeme:
            self._cut_at(start)
        elif self._opened:
            self._opened.pop()
            if lexeme == "}" and not self._opened and self._n_closable <= 0:
                self._safe_end = start + 1
        elif self._n_closable > 0:
            self._n_closable -= 1
        elif self._boundary.includes_closer and lexeme == "}":
            self._cut_at(start + 1)
        elif self._boundary.has_case_patterns and lexeme == ")" and not self._is_line_start:
            self._is_prelude_line = True  # What it stands for follows.
        else:
            self._cut_at(start)

    def _take_word(self, word: str, start: int) -> None:
        """Between braces a clause may begin anywhere: it needs an `if` or `try` of its own."""
        if word == "if":
            self._n_own_ifs += 1
        elif word == "try":
            self._has_own_try = True
        elif word == "let":
            self._has_let = self._boundary.language.language_id == "rust"
        elif self._is_forbidden(word) and not self._may_begin_clause():
            if word == "else" and self._n_own_ifs > 0:
                self._n_own_ifs -= 1
            elif not self._is_own_clause(word):
                self._cut_at(start)


def _is_prelude(lexeme: str) -> bool:
    """A decorator, an attribute or a template head: the statement is still to come."""
    return lexeme[0] in "@#" or lexeme == "template"
