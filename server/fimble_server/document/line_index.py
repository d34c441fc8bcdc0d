"""Where each line of a text starts, kept up to date by edits instead of by reading it again.

Owns the starts. Lines end at LF, CRLF or a lone CR, as in LSP: a form feed, U+0085 or U+2028
ends none. Never holds the text itself.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

__all__ = ["LineIndex", "build_line_index"]

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineIndex:
    """Starts of lines in two parts, so that an edit moves nothing but what lies around it.

    `heads` counts from the text's start; `tails`, the lines after those, from its end (so its
    entries are 0 or less). Typing in one place leaves both parts as they are: inserting there
    moves all later lines by changing `n_chars` alone.
    """

    heads: array[int]
    tails: array[int]
    n_chars: int

    @property
    def n_lines(self) -> int:
        """At least 1: the empty text is one empty line."""
        return len(self.heads) + len(self.tails)

    def start_of(self, line: int) -> int:
        """The character offset where `line` starts, `0 <= line < n_lines`."""
        n_heads = len(self.heads)
        if line < n_heads:
            return self.heads[line]
        return self.n_chars + self.tails[line - n_heads]

    def line_at(self, offset: int) -> int:
        """The line that holds the character offset, `0 <= offset <= n_chars`."""
        if not self.tails or offset < self.n_chars + self.tails[0]:
            return bisect_right(self.heads, offset) - 1
        return len(self.heads) + bisect_right(self.tails, offset - self.n_chars) - 1

    def edited(self, *, start: int, end: int, n_inserted: int, text: str) -> LineIndex:
        """The index after `[start, end)` was replaced; `text` is the whole new text.

        Whether a line starts at p hangs on the characters at p - 1 and p alone. So:
            p < start           as before, counted from the start
            start <= p <= end   looked up anew
            end < p             as before, counted from the end
        """
        n_new_chars = self.n_chars - (end - start) + n_inserted
        heads = self._heads_before(start)
        window = _LINE_END.finditer(text, max(0, start - 1), start + n_inserted + 1)
        heads.extend(p for match in window if start <= (p := match.end()) <= start + n_inserted)
        return LineIndex(heads=heads, tails=self._tails_after(end), n_chars=n_new_chars)

    def _heads_before(self, offset: int) -> array[int]:
        """Starts before `offset`, and always line 0, counted from the start."""
        n_heads = max(1, bisect_left(self.heads, offset))
        if n_heads < len(self.heads):
            return self.heads[:n_heads]
        moved = self.tails[: bisect_left(self.tails, offset - self.n_chars)]
        return self.heads + array("q", [start + self.n_chars for start in moved])

    def _tails_after(self, offset: int) -> array[int]:
        """Starts after `offset`, counted from the end."""
        first = bisect_right(self.tails, offset - self.n_chars)
        if first > 0:
            return self.tails[first:]
        moved = self.heads[max(1, bisect_right(self.heads, offset)) :]
        return array("q", [start - self.n_chars for start in moved]) + self.tails


def build_line_index(text: str) -> LineIndex:
    """The index of a whole text.

    >>> build_line_index("a\\r\\nb\\rc\\f\\n").heads.tolist()
    [0, 3, 5, 8]
    """
    heads = array("q", [0])
    heads.extend(match.end() for match in _LINE_END.finditer(text))
    return LineIndex(heads=heads, tails=array("q"), n_chars=len(text))
