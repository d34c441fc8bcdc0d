"""Whether the step after the next is worth beginning, and whether what was begun is what is asked.

Owns that judgement. A step begun ahead writes beyond the rows' ends, so that dropping it loses its
time and nothing else. Pure: knows rows by identity and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fimble_model.engine.kv_cache import KvRow
from fimble_model.engine.pieces import Piece, Wish

__all__ = ["Hopes", "LookedAhead", "expects", "may_go_on", "wish_after"]

# After a step that nobody asked for, so many steps go by before another is begun; twice as many
# after each further one. Guessed.
_LEAST_PAUSE_STEPS, _MOST_PAUSE_STEPS = 2, 64


class LookedAhead(NamedTuple):
    """A row in a step that was begun ahead: the token it was fed, after `n_cached` slots.

    `wish` says how its token was drawn but for the number, which is `uniform`.
    """

    row: KvRow
    fed_id: int
    n_cached: int
    wish: Wish
    uniform: float


def may_go_on(piece: Piece) -> bool:
    """Whether the row of a piece, with one token and a wish, may take a token after that one's."""
    wish = piece.wish
    return (
        wish is not None
        and wish.n_most_tokens > 1
        and len(piece.row.token_ids) + 2 <= piece.row.capacity
    )


def wish_after(piece: Piece) -> Wish:
    """The wish of a row's step after this one of one token."""
    assert piece.wish is not None, "nothing is to be drawn"
    wish = piece.wish
    return Wish(wish.temperature, wish.top_p, wish.uniforms[1:], wish.n_most_tokens - 1)


def expects(ahead: Sequence[LookedAhead], pieces: Sequence[Piece]) -> list[int] | None:
    """Each piece's place in `ahead`, where every piece is a row's step as it was begun; else None.

    Rows of it that are not asked for ended, or wait.
    """
    places = {id(looked.row): index for index, looked in enumerate(ahead)}
    found = []
    for piece in pieces:
        index = places.get(id(piece.row))
        if index is None or not _is_as_begun(ahead[index], piece):
            return None
        found.append(index)
    return found


class Hopes:
    """How far looking ahead is trusted. Keeps the invariant that a drop is paid for by a pause."""

    def __init__(self) -> None:
        self.n_hits = 0
        self.n_drops = 0
        self._n_pause_steps = _LEAST_PAUSE_STEPS
        self._n_steps_to_wait = 0

    def may_begin(self) -> bool:
        """Whether the step at hand may be followed by one begun ahead; ask once a step."""
        if self._n_steps_to_wait:
            self._n_steps_to_wait -= 1
            return False
        return True

    def note_hit(self) -> None:
        """What was begun was asked for."""
        self.n_hits += 1
        self._n_pause_steps = _LEAST_PAUSE_STEPS

    def note_drop(self) -> None:
        """What was begun was for nothing."""
        self.n_drops += 1
        self._n_steps_to_wait = self._n_pause_steps
        self._n_pause_steps = min(2 * self._n_pause_steps, _MOST_PAUSE_STEPS)


def _is_as_begun(looked: LookedAhead, piece: Piece) -> bool:
    wish = piece.wish
    if wish is None or len(piece.token_ids) != 1:
        return False
    is_same_draw = wish.temperature == looked.wish.temperature and (
        wish.temperature == 0.0
        or (wish.top_p == looked.wish.top_p and wish.uniforms[0] == looked.uniform)
    )
    return (
        is_same_draw
        and piece.token_ids[0] == looked.fed_id
        and len(piece.row.token_ids) == looked.n_cached
    )
