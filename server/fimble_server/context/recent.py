"""What was edited lately, as it stands there now, and what was looked at lately.

Owns the way from edits of the past to places in the present text, and the pieces around those.
Pure. What was deleted is nowhere in it: only text that is there now is ever cut out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fimble_server.context.choosing import Piece
from fimble_server.context.chunks import words_of
from fimble_server.document.history import Edit

__all__ = ["WordedChunk", "edited_pieces", "edited_places", "likeness", "viewed_pieces"]

_MOST_PLACES = 4
_LINES_AROUND = 3
_MOST_PIECE_LINES = 16
_MOST_PIECE_CHARS = 1_200
# Brings a share of common words to the scale of BM25's scores. Guessed.
_LIKENESS_SCALE = 40.0
_LEAST_LIKENESS = 0.04
# Edited code is wanted even where it is little alike: it is what the user is about. Guessed.
_EDITED_SCORE, _FADING = 4.0, 0.8


class WordedChunk(NamedTuple):
    """A chunk of a file and the words by which it is compared."""

    text: str
    words: frozenset[str]


def edited_places(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Where the text that was inserted stands now, `[start, end)` in characters, newest first.

    What later edits took away is left out, and places that touch are one.
    """
    places: list[tuple[int, int]] = []
    for edit in edits:
        moved = (_after(place, edit) for place in places)
        places = [place for place in moved if place is not None]
        if edit.end > edit.start:
            places.append((edit.start, edit.end))
    merged: list[tuple[int, int]] = []
    for start, end in reversed(places):
        near = next((each for each in merged if start <= each[1] and end >= each[0]), None)
        if near is None:
            merged.append((start, end))
        else:
            merged[merged.index(near)] = (min(start, near[0]), max(end, near[1]))
    return merged


def edited_pieces(
    path: str, text: str, edits: Sequence[Edit], near_words: frozenset[str]
) -> list[Piece]:
    """The lines around the last places that were edited in a file, as they are now."""
    pieces: dict[str, Piece] = {}
    for rank, (start, end) in enumerate(edited_places(edits)[:_MOST_PLACES]):
        piece_text = _lines_around(text, start, end)
        alike = likeness(near_words, words_of(piece_text))
        if piece_text.strip() and alike > 0:
            score = _EDITED_SCORE * _FADING**rank + _LIKENESS_SCALE * alike
            piece = Piece(source="recent-edits", path=path, text=piece_text, score=score)
            pieces.setdefault(piece_text, piece)
    return list(pieces.values())


def viewed_pieces(
    path: str, chunks: Iterable[WordedChunk], near_words: frozenset[str], *, most: int = 2
) -> list[Piece]:
    """The chunks of a file that was looked at which are most like the text at the cursor."""
    scored = [(likeness(near_words, chunk.words), chunk.text) for chunk in chunks]
    best = sorted((each for each in scored if each[0] >= _LEAST_LIKENESS), reverse=True)[:most]
    return [
        Piece(source="viewed-files", path=path, text=text, score=_LIKENESS_SCALE * alike)
        for alike, text in best
    ]


def likeness(words: frozenset[str], others: Iterable[str]) -> float:
    """The share of common words among all of two texts' (Jaccard).

    >>> likeness(frozenset({"cart", "total"}), {"cart", "item"})
    0.3333333333333333
    """
    other_words = frozenset(others)
    n_all = len(words | other_words)
    return len(words & other_words) / n_all if n_all else 0.0


def _after(place: tuple[int, int], edit: Edit) -> tuple[int, int] | None:
    """Where a place is after a later edit; None where nothing of it is left."""
    start, end = place
    removed_end = edit.start + edit.n_removed_chars
    n_moved = (edit.end - edit.start) - edit.n_removed_chars
    if removed_end <= start:
        return start + n_moved, end + n_moved
    if edit.start >= end:
        return place
    # [start, end) less [edit.start, removed_end): what was inserted is a place of its own.
    kept_start = start if start < edit.start else edit.end
    kept_end = end + n_moved if end > removed_end else edit.start
    return (kept_start, kept_end) if kept_end > kept_start else None


def _lines_around(text: str, start: int, end: int) -> str:
    """Whole lines, some before and after, no more than a piece may have."""
    for _ in range(_LINES_AROUND + 1):
        start = max(text.rfind("\n", 0, start), 0)
    first = start + 1 if text[start : start + 1] == "\n" else start
    lines = text[first : min(len(text), end + _MOST_PIECE_CHARS)].split("\n")
    n_lines = text.count("\n", first, end) + 1 + _LINES_AROUND
    piece = "\n".join(lines[: min(n_lines, _MOST_PIECE_LINES)])[:_MOST_PIECE_CHARS]
    return piece.strip("\n") + "\n"
