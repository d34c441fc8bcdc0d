"""A real file turned into keystrokes: what is on screen at first, and what is typed where.

Pure functions of values; nothing here knows servers, time or models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Keystroke", "Spot", "keystrokes_of", "plan_spots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One place of a file that is retyped: `text` is cut out at character `start` first."""

    start: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keystroke:
    """One key: `inserted` goes in at character `offset`. Enter brings its indentation along."""

    offset: int
    inserted: str


def plan_spots(text: str, *, n_spots: int, n_chars: int) -> tuple[Spot, ...]:
    """Places spread evenly over a file, each beginning at the first word of a line.

    Each spot holds at least `n_chars` characters up to a line's end, so that what is typed are
    whole lines. A file too short for `n_spots` gives fewer.

    >>> plan_spots("a = 1\\nb = 2\\n", n_spots=1, n_chars=3)
    (Spot(start=0, text='a = 1'),)
    """
    step = max(1, len(text) // max(1, n_spots))
    spots: list[Spot] = []
    next_free = 0
    for aim in range(0, step * n_spots, step):
        spot = _spot_at(text, max(aim, next_free), n_chars)
        if spot is not None:
            spots.append(spot)
            next_free = spot.start + len(spot.text) + 1
    return tuple(spots)


def _spot_at(text: str, aim: int, n_chars: int) -> Spot | None:
    """The first spot at or after character `aim`, or None where the file ends before it."""
    line_start = 0 if aim == 0 else text.find("\n", aim - 1) + 1
    if aim > 0 and line_start == 0:
        return None
    start = line_start
    while start < len(text) and text[start].isspace():
        start += 1
    end = text.find("\n", start + n_chars)
    end = len(text) if end < 0 else end
    body = text[start:end].rstrip()
    return Spot(start=start, text=body) if body else None


def keystrokes_of(spot: Spot) -> Iterator[Keystroke]:
    """The keys that type a spot back, in order.

    A newline and the blanks after it are one keystroke, as in an editor that indents by itself.

    >>> [key.inserted for key in keystrokes_of(Spot(start=0, text="if x:\\n    y"))][-2:]
    ['\\n    ', 'y']
    """
    index = 0
    while index < len(spot.text):
        end = index + 1
        if spot.text[index] == "\n":
            while end < len(spot.text) and spot.text[end] in " \t":
                end += 1
        yield Keystroke(offset=spot.start + index, inserted=spot.text[index:end])
        index = end
