"""Which pieces of other files a prompt shows, and in which order.

Owns the choice. Pure: candidates and what was chosen before come in, the new choice goes out. A
piece that stays keeps its place, so that the prompt's beginning stays cached; it goes only where
another clearly beats it. Nothing that repeats the text at the cursor is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Piece", "choose_pieces", "names_near", "text_near"]

# As many as the samples that our models learned from show at most.
_MOST_PIECES = 3
# A newcomer must be this much better than the piece whose place it takes. Guessed.
_CLEARLY = 1.4
# What was found before and is not found now counts this much less. Guessed.
_FADING = 0.6
_MOST_REPEATED_SHARE = 0.4
_NEAR_LINES_ABOVE, _NEAR_LINES_BELOW = 20, 6
_NAME = re.compile(r"[^\W\d]\w{2,}")
_DEFINED = re.compile(r"\b(?:def|class|function|func|fn|struct|interface|type) +(\w+)")
_MOST_NAMES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text of a file by its path below the project's folder, and how much it is wanted."""

    source: str
    path: str
    text: str = field(repr=False)
    score: float


def choose_pieces(
    candidates: Sequence[Piece],
    kept: Sequence[Piece],
    *,
    near: str,
    n_most_tokens: int,
    n_tokens_of: Callable[[Piece], int],
) -> tuple[Piece, ...]:
    """The pieces to show: of those `kept` whatever is not clearly beaten, in their old places.

    `near` is the text at the cursor, of which nothing is repeated.
    """
    scores = {(p.path, p.text): p for p in sorted(candidates, key=lambda piece: piece.score)}
    lines = _lines_of(near)
    standing = [
        scores.get((piece.path, piece.text)) or _faded(piece)
        for piece in kept
        if not _repeats(piece.text, lines)
    ]
    known = {(piece.path, piece.text) for piece in standing}
    fresh = [
        piece
        for piece in scores.values()
        if (piece.path, piece.text) not in known and not _repeats(piece.text, lines)
    ]
    ranked = sorted(standing, key=lambda piece: -piece.score * _CLEARLY)
    ranked = sorted(
        (*ranked, *fresh),
        key=lambda piece: -piece.score * (_CLEARLY if piece in standing else 1.0),
    )
    taken: list[Piece] = []
    taken_lines: set[str] = set()
    n_left = n_most_tokens
    for piece in ranked:
        if len(taken) == _MOST_PIECES:
            break
        n_tokens = n_tokens_of(piece)
        if n_tokens <= n_left and not _repeats(piece.text, taken_lines):
            taken.append(piece)
            taken_lines |= _lines_of(piece.text)
            n_left -= n_tokens
    # What stood there before stands there still, in its old order; newcomers follow.
    return (
        *(piece for piece in standing if piece in taken),
        *(piece for piece in reversed(taken) if piece not in standing),
    )


def text_near(text: str, cursor: int) -> str:
    """The lines around a cursor, by which other files are searched."""
    above = text[:cursor].split("\n")[-_NEAR_LINES_ABOVE:]
    below = text[cursor:].split("\n")[:_NEAR_LINES_BELOW]
    return "\n".join(above) + "\n".join(below)


def names_near(text: str, cursor: int) -> list[str]:
    """Names used around a cursor and not defined in the text, the nearest above it first."""
    found: dict[str, None] = {}
    for line in reversed(text[:cursor].split("\n")[-_NEAR_LINES_ABOVE:]):
        found.update(dict.fromkeys(reversed(_NAME.findall(line))))
    defined = set(_DEFINED.findall(text))
    return [name for name in found if name not in defined][:_MOST_NAMES]


def _faded(piece: Piece) -> Piece:
    return Piece(source=piece.source, path=piece.path, text=piece.text, score=piece.score * _FADING)


def _lines_of(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n") if len(line.strip()) > 3}


def _repeats(text: str, near_lines: set[str]) -> bool:
    """Whether too many of a text's lines are among those, or it has none to speak of."""
    lines = [line.strip() for line in text.split("\n") if len(line.strip()) > 3]
    n_same = sum(line in near_lines for line in lines)
    return not lines or n_same > _MOST_REPEATED_SHARE * len(lines)
