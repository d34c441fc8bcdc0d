"""Ready-made stop rules: where a middle ends, judged by its text alone.

Owns rules that need no syntax. Pure; the server brings rules that know the language.
"""

from __future__ import annotations

from dataclasses import dataclass

from fimble_model.engine.protocol import StopRule

__all__ = ["FirstOf", "NeverStop", "StopAfterLines", "StopAtLineEnd"]


@dataclass(frozen=True, slots=True)
class NeverStop:
    """Leaves the end to the model and the token limit."""

    def n_chars_to_keep(self, middle: str) -> int | None:
        """Always None."""
        return None


@dataclass(frozen=True, slots=True)
class StopAfterLines:
    r"""Keeps `n_lines` lines that hold something besides blanks, without the last line's end.

    Blank lines are kept and not counted, and the rest of the cursor's own line counts as a
    line only where something is written on it.

    >>> StopAfterLines(1).n_chars_to_keep("\n    a = '😀'\n    b")
    12
    """

    n_lines: int

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None until the line end after the last wanted line has come."""
        n_seen = line_start = 0
        while (line_end := middle.find("\n", line_start)) >= 0:
            n_seen += not middle[line_start:line_end].isspace() and line_end > line_start
            if n_seen >= self.n_lines:
                is_crlf = middle[line_start:line_end].endswith("\r")
                return line_end - is_crlf
            line_start = line_end + 1
        return None


@dataclass(frozen=True, slots=True)
class StopAtLineEnd:
    r"""Keeps what belongs on the cursor's own line, even where that is nothing.

    >>> StopAtLineEnd().n_chars_to_keep("1)\r\nx")
    2
    """

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None until a line end has come."""
        line_end = middle.find("\n")
        if line_end < 0:
            return None
        return line_end - middle[:line_end].endswith("\r")


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Stops where the first of several rules does; of those that stop at once, the shortest."""

    rules: tuple[StopRule, ...]

    def n_chars_to_keep(self, middle: str) -> int | None:
        """The least of the rules' counts; None while none of them stops."""
        counts = (rule.n_chars_to_keep(middle) for rule in self.rules)
        return min((count for count in counts if count is not None), default=None)
