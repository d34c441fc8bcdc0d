"""What a pass is asked and what it answers, whoever computes it.

Owns the vocabulary between the engine and the runners of passes: native kernels, torch, a GPU.
Never runs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from fimble_model.engine.protocol import TokenId
from fimble_model.network.cost import RowShape

__all__ = ["Answer", "Drawn", "PassRunner", "Piece", "Wish", "cut_piece"]


class Wish(NamedTuple):
    """How to draw a token after each of a piece's loud tokens, for a runner that can.

    `uniforms` are the row's own numbers from [0, 1), one for each of those draws and one for the
    draw after them; empty where the temperature is 0. The row takes `n_most_tokens` at the most.
    """

    temperature: float
    top_p: float
    uniforms: tuple[float, ...]
    n_most_tokens: int


class Piece(NamedTuple):
    """A row's next tokens. Those from `n_silent` on are loud: asked what follows them.

    With a `wish` the answer may be tokens already drawn; without one it is log-probabilities.
    `row` is one of the runner's own cache (see `slots`).
    """

    row: Any
    token_ids: list[TokenId]
    n_silent: int
    wish: Wish | None = None

    @property
    def n_loud(self) -> int:
        """Tokens that are asked what follows them."""
        return len(self.token_ids) - self.n_silent

    @property
    def shape(self) -> RowShape:
        """Its sizes, before the pass that computes it."""
        return RowShape(len(self.token_ids), len(self.row.token_ids), self.n_loud)


def cut_piece(piece: Piece) -> tuple[Piece, Piece]:
    """Two pieces that, computed one after the other, answer what the whole one would."""
    n_first = len(piece.token_ids) // 2
    n_silent = min(piece.n_silent, n_first)
    n_loud = n_first - n_silent
    wish = first_wish = piece.wish
    if wish is not None:
        first_wish = wish._replace(uniforms=wish.uniforms[: n_loud + 1])
        wish = wish._replace(uniforms=wish.uniforms[n_loud:])
    return (
        Piece(piece.row, piece.token_ids[:n_first], n_silent, first_wish),
        Piece(piece.row, piece.token_ids[n_first:], piece.n_silent - n_silent, wish),
    )


class Drawn(NamedTuple):
    """A token and its log-probability in the distribution that it was drawn from."""

    token_id: TokenId
    logprob: float


Answer = Tensor | list[Drawn]
"""Of a piece: `logprobs_LV` in float32, L counting its loud tokens, or a token drawn at each."""


class PassRunner(Protocol):
    """Who computes passes. Belongs to the engine's thread."""

    @property
    def grants_wishes(self) -> bool:
        """Whether it draws tokens itself where it is asked to."""
        ...

    def run(self, pieces: Sequence[Piece]) -> list[Answer]:
        """Compute the pieces, extend their rows by them, and answer each.

        A log-probability's memory is the caller's. Where it raises, rows it has not extended can
        be asked for again.
        """
        ...

    def run_on(
        self, rows: Sequence[Any], uniforms: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]] | None:
        """Rows of the last pass go on by the token that each drew in it, where that is at hand.

        Answers the tokens that they draw then and their log-probabilities, and extends the rows.
        `uniforms` has a number for each row's draw after that, or nothing where all are greedy.
        None, and nothing changed, where it is not at hand: then `run` does it.
        """
        ...

    def give_way(self) -> None:
        """Free what memory can be done without: somebody found none."""
        ...

    def rest(self) -> None:
        """No row is in use: the moment for what must not happen under one."""
        ...
