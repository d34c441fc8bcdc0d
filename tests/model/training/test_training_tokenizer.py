"""Laws of our own tokenizer: any text comes back, and only newlines take indentation along."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fimble_model.text.tokenizer import parse_tokenizer
from fimble_model.training.faults import TrainingError
from fimble_model.training.tokenizer import SPECIAL_TOKENS, train_tokenizer

ANY_TEXT = st.text(st.characters(codec="utf-8"))
CODE_TEXT = st.text(st.sampled_from("ab_ \t\n\r0.()=<|>é🎉"))


def _tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.decode([i]) for i in tokenizer.encode(text, add_special_tokens=False).ids]


@given(text=ANY_TEXT | CODE_TEXT)
def test_any_text_comes_back_unchanged(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@given(text=CODE_TEXT)
def test_serving_encodes_as_training_does(tokenizer: Tokenizer, text: str) -> None:
    serving = parse_tokenizer(tokenizer.to_str())
    assert serving.encode(text) == tokenizer.encode(text, add_special_tokens=False).ids


def test_control_tokens_have_the_first_ids(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(7))


def test_a_control_string_in_text_is_plain_text(tokenizer: Tokenizer) -> None:
    for token in SPECIAL_TOKENS:
        assert min(tokenizer.encode(token, add_special_tokens=False).ids) >= len(SPECIAL_TOKENS)


def test_newline_and_indentation_are_one_token(tokenizer: Tokenizer) -> None:
    assert _tokens(tokenizer, ":\n    if") == [":", "\n    ", "if"]
    assert _tokens(tokenizer, "\n\n    if")[:2] == ["\n", "\n    "]


def test_a_middle_may_begin_with_its_indentation(tokenizer: Tokenizer) -> None:
    assert _tokens(tokenizer, "    if")[0].isspace()
    assert "".join(t for t in _tokens(tokenizer, "    if") if t.isspace()) == "    "


def test_digits_are_single_tokens(tokenizer: Tokenizer) -> None:
    assert _tokens(tokenizer, "1234") == ["1", "2", "3", "4"]


def test_no_token_reaches_beyond_a_newline_but_indentation(tokenizer: Tokenizer) -> None:
    for token_id in range(len(SPECIAL_TOKENS), tokenizer.get_vocab_size()):
        text = tokenizer.decode([token_id])
        if "\n" in text:
            assert text.lstrip("\r")[0] == "\n"
            assert not text.lstrip("\r")[1:].strip(" \t")


def test_too_little_text_is_a_clear_error() -> None:
    with pytest.raises(TrainingError, match="vocabulary of 5000"):
        train_tokenizer(["x = 1\n"], vocabulary_size=5000)
