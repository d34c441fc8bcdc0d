"""A replay types back exactly what it cut out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.typing_replay import keystrokes_of, plan_spots

_sources = st.text(alphabet="ab (:\n\t😀", max_size=300)


@given(text=_sources, n_spots=st.integers(1, 5), n_chars=st.integers(1, 40))
def test_typing_the_spots_back_gives_the_file(text: str, n_spots: int, n_chars: int) -> None:
    """Cutting a spot and typing its keys leaves the text as it was, for every spot."""
    for spot in plan_spots(text, n_spots=n_spots, n_chars=n_chars):
        typed = text[: spot.start] + text[spot.start + len(spot.text) :]
        for key in keystrokes_of(spot):
            typed = typed[: key.offset] + key.inserted + typed[key.offset :]
        assert typed == text


@given(text=_sources, n_spots=st.integers(1, 5), n_chars=st.integers(1, 40))
def test_spots_do_not_overlap(text: str, n_spots: int, n_chars: int) -> None:
    """Spots come in order, none is empty, none begins before the one before it ended."""
    end = 0
    for spot in plan_spots(text, n_spots=n_spots, n_chars=n_chars):
        assert spot.text
        assert spot.start >= end
        assert text[spot.start : spot.start + len(spot.text)] == spot.text
        end = spot.start + len(spot.text)
