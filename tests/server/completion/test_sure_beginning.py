"""Of an unsure suggestion, the beginning that is sure by itself may be shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import GeneratedToken, TokenId
from fimble_server.completion.plan import Mode
from fimble_server.completion.sure_beginning import sure_beginning


def _tokens(*pieces: tuple[str, float]) -> tuple[GeneratedToken, ...]:
    """Tokens that spell the pieces with these probabilities."""
    tokens, char_end = [], 0
    for text, probability in pieces:
        char_end += len(text)
        logprob = math.log(probability)
        tokens.append(GeneratedToken(token_id=TokenId(0), logprob=logprob, char_end=char_end))
    return tuple(tokens)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        pytest.param([("nfig", 0.9), ("(path", 0.1), (")", 0.9)], "nfig", id="up to the doubt"),
        pytest.param([("split", 0.9), ("lines", 0.2)], "", id="never a part of a word"),
        pytest.param([("a", 0.9), (", b", 0.2)], "", id="one character is not worth a look"),
        pytest.param([("len(", 0.9), ("x", 0.2)], "len", id="no bracket is left open"),
        pytest.param([("len(x)", 0.9), (" + y", 0.2)], "len(x)", id="closed brackets are fine"),
        pytest.param(
            [("State<Data, ", 0.9), ("Error", 0.9), (", X>", 0.1)], "State", id="no type's <"
        ),
        pytest.param([("Box<Data>", 0.9), (" = x", 0.1)], "Box<Data>", id="closed types are fine"),
        pytest.param([("a < b", 0.9), (" and c", 0.1)], "a < b", id="less than opens nothing"),
        pytest.param([('"ab', 0.9), (' c"', 0.2)], "", id="no quote is left open"),
        pytest.param([("self.", 0.9), ("x", 0.2)], "self", id="no dot waits for a name"),
        pytest.param([("\n", 0.9), ("def", 0.9), (" f", 0.2)], "", id="no part of a later line"),
        pytest.param(
            [("one", 0.7), (" two", 0.7), (" three", 0.7), (" four", 0.1)],
            "one two",
            id="the product counts, not the mean",
        ),
    ],
)
def test_a_beginning_ends_where_it_is_sure_and_whole(
    pieces: list[tuple[str, float]], shown: str
) -> None:
    """In acceleration it ends at a word's end and leaves nothing open."""
    text = "".join(piece for piece, _ in pieces)
    tokens = _tokens(*pieces)
    found = sure_beginning(text, tokens, min_probability=0.4, mode=Mode.ACCELERATION)
    assert found == shown


def test_exploration_shows_whole_lines_only() -> None:
    """Of a function's body a first line may be shown, never half of one."""
    tokens = _tokens(("total = 0\n", 0.9), ("    for x", 0.9), (" in unknown:", 0.1))
    text = "total = 0\n    for x in unknown:"
    assert sure_beginning(text, tokens, min_probability=0.4, mode=Mode.EXPLORATION) == "total = 0"


@given(
    pieces=st.lists(
        st.tuples(st.text(alphabet='ab_ (\n)"é😀', min_size=1, max_size=4), st.floats(0.01, 1.0)),
        max_size=8,
    ),
    mode=st.sampled_from(Mode),
)
def test_it_is_always_a_beginning_and_always_sure(
    pieces: list[tuple[str, float]], mode: Mode
) -> None:
    """Whatever the tokens, the result begins the text and its tokens' product is high enough."""
    text = "".join(piece for piece, _ in pieces)
    tokens = _tokens(*pieces)
    shown = sure_beginning(text, tokens, min_probability=0.4, mode=mode)
    assert text.startswith(shown)
    product, n_chars = 1.0, 0
    for token, (_, probability) in zip(tokens, pieces, strict=True):
        if n_chars >= len(shown):
            break
        product *= probability
        n_chars = token.char_end
    assert product >= 0.4 - 1e-9
