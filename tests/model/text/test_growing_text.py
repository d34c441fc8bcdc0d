"""The law of growing texts: the ids are those of the whole text, however it was changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.text.growing_text import GrowingText
from fimble_model.text.tokenizer import parse_tokenizer
from fimble_testing.tiny_tokenizers import STYLES, TRAINING_TEXT, build_tokenizer_json

TOKENIZERS = {style: parse_tokenizer(build_tokenizer_json(style)) for style in STYLES}

pieces = st.sampled_from(("\n", "\r\n", "    ", " ", "1", "é", "x:", ":", "self", "(", "\t", "😀"))
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 300), st.lists(pieces, max_size=60).map("".join))
)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=60, deadline=None)
@given(edits=edits)
def test_an_edited_text_has_the_ids_of_the_whole(
    style: str, edits: list[tuple[float, int, str]]
) -> None:
    tokenizer = TOKENIZERS[style]
    growing = GrowingText(tokenizer)
    text = TRAINING_TEXT
    for place, n_deleted, inserted in edits:
        start = int(place * len(text))
        text = text[:start] + inserted + text[start + n_deleted :]
        assert growing.encode_words(text) == tokenizer.encode_words(text)
        text += inserted
        assert growing.encode_words(text) == tokenizer.encode_words(text)


@pytest.mark.parametrize("style", STYLES)
def test_typing_on_and_deleting_give_the_ids_of_the_whole(style: str) -> None:
    tokenizer = TOKENIZERS[style]
    growing = GrowingText(tokenizer)
    n_chars = [*range(500, len(TRAINING_TEXT), 3), *range(len(TRAINING_TEXT), 500, -7)]
    for n in n_chars:
        text = TRAINING_TEXT[:n]
        assert growing.encode_words(text) == tokenizer.encode_words(text)
