"""A file cut into chunks of lines, and the words by which a chunk is found again.

Owns the cuts and the words. Pure: text in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["cut_chunks", "words_of"]

# A chunk is about a screenful's half: small enough that three fit a small model's prompt.
_LEAST_LINES, _MOST_LINES = 8, 16
_MOST_CHUNK_CHARS = 1_200
_IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")
_PART = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{3,}(?![a-z])")
# Of words that stand in nearly every file of a language none tells a chunk from another.
_COMMON = re.compile(
    r"and|any|as|assert|async|await|bool|break|case|catch|class|const|continue|def|"
    r"default|del|elif|else|end|enum|except|export|extends|false|final|finally|float|"
    r"for|from|func|function|global|if|impl|import|in|int|interface|is|lambda|let|"
    r"match|mod|module|namespace|new|nil|none|not|null|object|or|override|package|pass|"
    r"private|protected|pub|public|raise|return|self|static|str|string|struct|super|"
    r"switch|then|this|throw|throws|trait|true|try|type|typeof|undefined|unsafe|use|"
    r"using|var|void|where|while|with|yield"
)


def cut_chunks(text: str) -> Iterator[str]:
    """Runs of whole lines, ended where a blank line or less indentation says so, if one does.

    Chunks of blanks alone are left out.
    """
    lines: list[str] = []
    n_chars = 0
    for line in text.splitlines(keepends=True):
        is_start = bool(line.strip()) and not line[0].isspace()
        is_break = len(lines) >= _LEAST_LINES and (is_start or not line.strip())
        is_full = len(lines) >= _MOST_LINES or n_chars + len(line) > _MOST_CHUNK_CHARS
        if lines and (is_break or is_full):
            yield from _chunk_of(lines)
            lines, n_chars = [], 0
        lines.append(line[:_MOST_CHUNK_CHARS])
        n_chars += len(line)
    yield from _chunk_of(lines)


def words_of(text: str) -> set[str]:
    """The identifiers of a text in lower case, and the parts of the compound ones.

    >>> sorted(words_of("total = parse_orderItems(x1)"))
    ['items', 'order', 'parse', 'parse_orderitems', 'total']
    """
    found: set[str] = set()
    for identifier in set(_IDENTIFIER.findall(text)):
        found.add(identifier.lower())
        found.update(part.lower() for part in _PART.findall(identifier))
    return {word for word in found if _COMMON.fullmatch(word) is None}


def _chunk_of(lines: list[str]) -> Iterator[str]:
    chunk = "".join(lines).strip("\n")
    if chunk.strip():
        yield chunk + "\n"
