"""How much of a file its prompt had no room for: the cut that the token budget makes.

Owns the counts. Pure; counts lines and characters, for counting tokens would mean tokenizing the
whole of a file that is long already.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LeftOut", "count_left_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What stands in the file and not in the prompt, above the window and below it.

    Lines are counted by their ends, characters as code points with one for every line's end: a
    cut inside a line leaves out characters and perhaps no line.
    """

    n_lines_before: int = 0
    n_chars_before: int = 0
    n_lines_after: int = 0
    n_chars_after: int = 0

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return bool(self.n_chars_before or self.n_chars_after)

    @property
    def by_name(self) -> dict[str, int]:
        """The counts as `fimble/explain` and `complete --json` name them."""
        return {
            "lines_before": self.n_lines_before,
            "chars_before": self.n_chars_before,
            "lines_after": self.n_lines_after,
            "chars_after": self.n_chars_after,
        }


def count_left_out(text: str, start: int, end: int) -> LeftOut:
    r"""What a window `[start, end)` of a text leaves out; offsets are in characters.

    >>> count_left_out("a = '😀'\nb\nc\nd\n", 8, 12)
    LeftOut(n_lines_before=1, n_chars_before=8, n_lines_after=1, n_chars_after=2)
    """
    return LeftOut(
        n_lines_before=text.count("\n", 0, start),
        n_chars_before=start,
        n_lines_after=text.count("\n", end),
        n_chars_after=len(text) - end,
    )
