"""What stands open at the cursor, found by cutting the text around it into lexemes.

Owns the brackets, string or comment that are open at the cursor, the lines that start a
statement, the closers below that match nothing below. The text decides, because between two
keystrokes the tree is broken more often than not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fimble_server.document.languages import Language, Layout
from fimble_server.document.lexemes import LexemeKind, column_at, lexicon_of
from fimble_server.document.parsed import Parsed
from fimble_server.document.window import Stretch, stretches_above

__all__ = [
    "Closer",
    "Inside",
    "Opener",
    "Scan",
    "find_split_mark",
    "scan_above",
    "scan_below",
    "skip_inside",
]

_MAX_HEADER_LINES = 60  # guessed: brackets that are open for longer hold the cursor
_WINDOW_BELOW_CHARS = 4_000  # guessed: closers further away count as missing
_PAIRS = {")": "(", "]": "[", "}": "{"}
_PYTHON_STATEMENT = re.compile(r"(?:def|class|return|import|from|while|with|try|raise|@)\b")
_BRACE_STATEMENT = re.compile(r"return\b")
_CUT = "\0"  # Stands for the cursor: what runs over it is open there.


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The string or comment the cursor is in: where it starts and what opened it."""

    start: int
    opener: str
    is_comment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """A bracket that is open at the cursor. `header` is an offset in its header's first line."""

    character: str
    offset: int
    header: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closer:
    """A closing bracket below the cursor that matches nothing below it."""

    character: str
    offset: int


@dataclass(slots=True, kw_only=True)
class Scan:
    """The result, and the state while it is built: offsets are characters of the whole text.

    `lines` are the starts of lines that begin outside strings and comments, each with the
    number of brackets open there. `last_code` is the last thing that is neither comment nor
    space: kind, start and end.
    """

    inside: Inside | None = None
    opened: list[Opener] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    last_code: tuple[int, int, int] | None = None
    last_comment: tuple[int, int] | None = None
    last_pair_start: int | None = None


def scan_above(parsed: Parsed, cursor: int) -> Scan:
    """Cut what has to be read above the cursor."""
    scan = Scan()
    for stretch in stretches_above(parsed, cursor):
        if stretch.is_header:
            _read_header(scan, parsed, stretch)
        else:
            _read_body(scan, parsed, stretch.start, cursor)
    return scan


def _read_body(scan: Scan, parsed: Parsed, start: int, cursor: int) -> None:
    segment = parsed.text[start:cursor] + _CUT
    scan.lines.append((start, len(scan.opened)))
    match = lexicon_of(parsed.language).structure.match
    position, last = 0, len(segment) - 1
    while position < last:
        found = match(segment, position)
        assert found is not None  # The last alternative matches any character.
        kind = found.lastindex or LexemeKind.OTHER
        end = found.end()
        if end > last and (kind == LexemeKind.STRING or kind == LexemeKind.COMMENT):
            scan.inside = _try_inside(parsed.language, found.group(), kind, start + position)
            break
        _take(scan, parsed, kind, start + position, start + (end if end < last else last))
        position = end


def _read_header(scan: Scan, parsed: Parsed, stretch: Stretch) -> None:
    """Read a header's line, and on to where the brackets it opens are closed, if that is near."""
    scan.lines.append((stretch.start, len(scan.opened)))
    match = lexicon_of(parsed.language).structure.match
    n_opened, n_lines, position = len(scan.opened), 0, stretch.start
    after_line: list[Opener] | None = None
    while position < stretch.end:
        found = match(parsed.text, position, stretch.end)
        assert found is not None
        kind = found.lastindex or LexemeKind.OTHER
        if kind == LexemeKind.NEWLINE:
            n_lines += 1
            after_line = after_line if after_line is not None else list(scan.opened)
            if _is_header_read(parsed, scan.opened[n_opened:]):
                return
            if n_lines > _MAX_HEADER_LINES:
                break
        _take(scan, parsed, kind, position, found.end())
        position = found.end()
    if after_line is not None:  # The brackets hold the cursor: what follows in them is skipped.
        scan.opened = after_line


def _is_header_read(parsed: Parsed, opened: list[Opener]) -> bool:
    """True where a header's brackets are closed, or all that is open is the body's brace."""
    if parsed.language.layout is Layout.INDENTATION or not opened:
        return parsed.language.layout is Layout.INDENTATION and not opened
    before = parsed.text[max(0, opened[-1].offset - 80) : opened[-1].offset].rstrip()
    return opened[-1].character == "{" and not before.endswith((",", "(", "=", "[", ":"))


def find_split_mark(language: Language, text: str, cursor: int) -> Inside | None:
    """The comment whose opening mark the cursor cuts in two, as in `/<|>/ so`; None elsewhere."""
    openers = [opener for opener, _ in language.block_comments] + list(language.line_comments)
    for opener in openers:
        for start in range(max(0, cursor - len(opener) + 1), cursor):
            if text.startswith(opener, start):
                return Inside(start=start, opener=opener, is_comment=True)
    return None


def skip_inside(parsed: Parsed, cursor: int, inside: Inside | None, limit: int) -> int:
    """Where code goes on right of a cursor that is in a string, a comment or a comment's mark."""
    split = find_split_mark(parsed.language, parsed.text, cursor) if inside is None else None
    if split is not None:
        cursor, inside = split.start + len(split.opener), split
    if inside is None:
        return cursor
    rest = lexicon_of(parsed.language).remainders[inside.opener].match(parsed.text, cursor, limit)
    return rest.end() if rest else cursor


def scan_below(parsed: Parsed, cursor: int, inside: Inside | None, n_closers: int) -> list[Closer]:
    """The first closers below the cursor that match nothing below it, at most `n_closers`."""
    brackets = lexicon_of(parsed.language).brackets
    limit = min(len(parsed.text), cursor + _WINDOW_BELOW_CHARS)
    start, depth = skip_inside(parsed, cursor, inside, limit), 0
    closers: list[Closer] = []
    opener_kind, closer_kind = int(LexemeKind.OPENER), int(LexemeKind.CLOSER)
    # The pattern matches at every position, so that the matches lie end to end.
    for found in brackets.finditer(parsed.text, start, limit):
        kind = found.lastindex
        if kind == opener_kind:
            depth += 1
        elif kind == closer_kind and depth:
            depth -= 1
        elif kind == closer_kind:
            closers.append(Closer(character=found.group(), offset=found.start()))
            if len(closers) >= n_closers:
                break
    return closers


def _take(scan: Scan, parsed: Parsed, kind: int, start: int, end: int) -> None:
    if kind == LexemeKind.NEWLINE:
        _start_line(scan, parsed, end)
        return
    if kind == LexemeKind.COMMENT:
        scan.last_comment = (start, end)
        return
    if kind == LexemeKind.OTHER:
        piece = parsed.text[start:end]
        end = start + len(piece.rstrip(" \t\r\f"))
        if end <= start:
            return
        start += len(piece) - len(piece.lstrip(" \t\r\f"))
        if ";" in piece:
            scan.last_pair_start = None
    scan.last_code = (kind, start, end)
    if kind == LexemeKind.OPENER:
        character = parsed.text[start]
        header = scan.last_pair_start if character == "{" else None
        if header is None or column_at(parsed.text, start) < column_at(parsed.text, header):
            header = start
        scan.opened.append(Opener(character=character, offset=start, header=header))
        scan.last_pair_start = None if character == "{" else scan.last_pair_start
    elif kind == LexemeKind.CLOSER:
        _close(scan, parsed.text[start])


def _close(scan: Scan, character: str) -> None:
    wanted = _PAIRS[character]
    if wanted == "{":  # A closing brace ends what was left open inside it.
        while any(opener.character == "{" for opener in scan.opened):
            if scan.opened.pop().character == "{":
                break
        scan.last_pair_start = None
    elif scan.opened and scan.opened[-1].character == wanted:
        opener = scan.opened.pop()
        if scan.last_pair_start is None or wanted == "(":
            scan.last_pair_start = opener.header


def _start_line(scan: Scan, parsed: Parsed, offset: int) -> None:
    is_indented = parsed.language.layout is Layout.INDENTATION
    is_python = parsed.language.language_id == "python"
    text = parsed.text
    if is_indented and text[max(0, offset - 2) : offset - 1] == "\\":
        return
    statement = _PYTHON_STATEMENT if is_python else _BRACE_STATEMENT
    if (
        (is_python or not is_indented)
        and scan.opened
        and statement.match(text, offset + _n_blanks(text, offset))
    ):
        # Such a line begins a statement: what is open before it was never closed.
        while scan.opened and (is_indented or scan.opened[-1].character != "{"):
            scan.opened.pop()
    scan.lines.append((offset, len(scan.opened)))


def _n_blanks(text: str, offset: int) -> int:
    end = offset
    while end < len(text) and text[end] in " \t\f":
        end += 1
    return end - offset


def _try_inside(language: Language, text: str, kind: int, start: int) -> Inside | None:
    if kind == LexemeKind.COMMENT:
        openers = [opener for opener, _ in language.block_comments] + list(language.line_comments)
    else:
        openers = [form.opener for form in language.strings]
        openers += ["/"] if language.has_regex_literals else []
    opener = next((opener for opener in openers if text.startswith(opener)), None)
    if opener is None:  # A character: short, and soon over.
        return None
    return Inside(start=start, opener=opener, is_comment=kind == LexemeKind.COMMENT)
