"""Where a middle begins to go round in circles, as small models do.

Owns the test, and the stop rule that ends such a row while it is decoded. Pure.
"""

from __future__ import annotations

__all__ = ["StopInLoop", "find_loop"]

_MAX_ROUND_LINES = 4
_MIN_ROUNDS_OF_LINES = 3
_MAX_ROUND_CHARS = 32
_MIN_ROUNDS_OF_CHARS = 6
_MIN_LOOP_CHARS = 30
# A ruler such as `# -----` goes across a page and no further.
_MAX_RULER_CHARS = 80


def find_loop(middle: str) -> int | None:
    r"""How many characters to keep of a middle that repeats itself: one round. Else None.

    >>> find_loop("x = 1\ny = 2\ny = 2\ny = 2\n"), find_loop("[0, 0]")
    (11, None)
    """
    found = [end for end in (_find_lines(middle), _find_chars(middle)) if end is not None]
    return min(found, default=None)


class StopInLoop:
    """Implements `StopRule`: ends a row once it repeats itself."""

    __slots__ = ()

    def n_chars_to_keep(self, middle: str) -> int | None:
        """The middle up to the end of the first round; None while there is no loop."""
        return find_loop(middle)


def _find_lines(middle: str) -> int | None:
    """A few lines again and again. Only whole lines count, and only at the middle's end.

    The first line has its indentation left of the cursor, so all are compared without theirs.
    """
    tail = middle.rsplit("\n", _MAX_ROUND_LINES * _MIN_ROUNDS_OF_LINES + 1)
    lines = tail[:-1] if len(tail) <= _MAX_ROUND_LINES * _MIN_ROUNDS_OF_LINES + 1 else tail[1:-1]
    texts = [line.strip() for line in lines]
    for n_lines in range(1, min(_MAX_ROUND_LINES, len(lines) // _MIN_ROUNDS_OF_LINES) + 1):
        n_looped = n_lines * _MIN_ROUNDS_OF_LINES
        block = texts[-n_lines:]
        if any(block) and texts[-n_looped:] == block * _MIN_ROUNDS_OF_LINES:
            n_later_chars = len("\n".join((*lines[len(lines) - n_looped + n_lines :], tail[-1])))
            return len(middle) - n_later_chars - 1
    return None


def _find_chars(middle: str) -> int | None:
    """A few characters of the last line that is not empty again and again, at its end."""
    middle = middle.rstrip("\n")
    line = middle[middle.rfind("\n") + 1 :]
    for n_chars in range(1, min(_MAX_ROUND_CHARS, len(line) // 2) + 1):
        if line[-1] != line[-1 - n_chars]:
            continue
        n_least = _MAX_RULER_CHARS if n_chars == 1 else _MIN_LOOP_CHARS
        n_looped = max(n_least, n_chars * _MIN_ROUNDS_OF_CHARS)
        tail = line[-n_looped:]
        if len(line) > n_looped and tail[n_chars:] == tail[:-n_chars] and tail.strip():
            return len(middle) - _n_looped_chars(line, n_chars) + n_chars
    return None


def _n_looped_chars(line: str, n_chars: int) -> int:
    """How far back from its end the line repeats itself every `n_chars`."""
    index = len(line) - n_chars
    while index > 0 and line[index - 1] == line[index - 1 + n_chars]:
        index -= 1
    return len(line) - index
