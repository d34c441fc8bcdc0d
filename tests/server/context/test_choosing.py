"""Which pieces a prompt shows: within the tokens, nothing twice, and steady while they may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_server.context.choosing import Piece, choose_pieces, names_near

_pieces = st.lists(
    st.builds(
        Piece,
        source=st.just("similar"),
        path=st.sampled_from(["a.py", "b.py", "c/d.py"]),
        text=st.text(alphabet="abcd\n", min_size=4, max_size=30),
        score=st.floats(0.1, 20),
    ),
    max_size=8,
    unique_by=lambda piece: (piece.path, piece.text),
)


def _choose(
    candidates: list[Piece], kept: tuple[Piece, ...] = (), *, near: str = "", most: int = 60
) -> tuple[Piece, ...]:
    return choose_pieces(
        candidates,
        kept,
        near=near,
        n_most_tokens=most,
        n_tokens_of=lambda piece: len(piece.text),
    )


def _piece(text: str, score: float = 1.0) -> Piece:
    return Piece(source="similar", path="a.py", text=text, score=score)


@given(_pieces, _pieces, st.integers(0, 80))
def test_the_tokens_are_kept_and_nothing_is_shown_twice(
    before: list[Piece], now: list[Piece], most: int
) -> None:
    chosen = _choose(now, _choose(before, most=most), most=most)
    assert sum(len(piece.text) for piece in chosen) <= most
    assert len({(piece.path, piece.text) for piece in chosen}) == len(chosen) <= 3


@given(_pieces)
def test_what_is_chosen_from_the_same_stays_as_it_is(candidates: list[Piece]) -> None:
    chosen = _choose(candidates)
    assert _choose(candidates, chosen) == chosen


def test_a_piece_goes_only_where_it_is_clearly_beaten_and_the_others_keep_their_places() -> None:
    kept = (_piece("aaaa\n", 5.0), _piece("bbbb\n", 6.0), _piece("cccc\n", 7.0))
    slightly = _choose([*kept, _piece("dddd\n", 6.5)], kept)
    assert slightly == kept
    clearly = _choose([*kept, _piece("dddd\n", 9.0)], kept)
    assert [piece.text for piece in clearly] == ["bbbb\n", "cccc\n", "dddd\n"]


def test_what_stands_at_the_cursor_is_not_shown_again() -> None:
    candidates = [_piece("total = 1\nother = 2\n", 9.0), _piece("names = 3\n")]
    assert _choose(candidates, near="    total = 1\n    other = 2") == (candidates[1],)


def test_names_are_those_used_and_not_defined_here_the_nearest_first() -> None:
    text = "from shop import Cart\n\ndef total(cart):\n    return Basket(cart, total)\n"
    assert names_near(text, len(text))[:3] == ["cart", "Basket", "return"]
    assert "total" not in names_near(text, len(text))
