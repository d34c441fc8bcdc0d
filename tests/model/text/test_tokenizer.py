"""Laws of the tokenizer: text comes back unchanged, and never becomes a control token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.errors import CheckpointError
from fimble_model.text.tokenizer import Tokenizer, load_tokenizer, parse_tokenizer
from fimble_testing.tiny_tokenizers import (
    CONTROL_STRINGS,
    STYLES,
    TRAINING_TEXT,
    build_tokenizer_json,
)

TOKENIZERS = {style: parse_tokenizer(build_tokenizer_json(style)) for style in STYLES}

code_pieces = st.lists(
    st.sampled_from((*CONTROL_STRINGS, "def ", "\n    ", "\r\n", "\t", "  ", "😀", "é", "x", "12"))
    | st.text(max_size=5)
)


@pytest.fixture(params=STYLES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


@pytest.mark.parametrize("style", STYLES)
@given(pieces=code_pieces)
def test_text_comes_back_unchanged_and_holds_no_control_token(
    style: str, pieces: list[str]
) -> None:
    text = "".join(pieces)
    tokenizer = TOKENIZERS[style]
    token_ids = tokenizer.encode(text)
    assert tokenizer.decode(token_ids) == text
    assert not set(token_ids) & set(tokenizer.control_ids.values())


@pytest.mark.parametrize("control", CONTROL_STRINGS)
def test_a_control_string_in_a_file_stays_text(tokenizer: Tokenizer, control: str) -> None:
    token_ids = tokenizer.encode(f"token = '{control}'")
    assert tokenizer.control_ids[control] not in token_ids
    assert tokenizer.decode(token_ids) == f"token = '{control}'"


def test_decoding_leaves_control_tokens_and_unknown_ids_out(tokenizer: Tokenizer) -> None:
    token_ids = tokenizer.encode("def")
    control_id = tokenizer.control_ids["<|fim_middle|>"]
    unknown_id = type(control_id)(tokenizer.n_ids + 7)
    assert tokenizer.decode([control_id, *token_ids, unknown_id]) == "def"


def test_half_of_a_surrogate_pair_does_not_raise(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud83d b")) == "a\ufffd b"
    assert tokenizer.decode(tokenizer.encode("\ud83d\ude00")) == "😀"


def test_the_last_word_is_where_typing_can_change_tokens(tokenizer: Tokenizer) -> None:
    token_ids, n_last = tokenizer.encode_words("    return retu")
    assert tokenizer.decode(token_ids[-n_last:]) == " retu"
    assert tokenizer.encode_words("") == ([], 0)


def _edited(edit: Callable[[dict[str, Any]], None]) -> str:
    parsed: dict[str, Any] = json.loads(build_tokenizer_json("qwen"))
    edit(parsed)
    return json.dumps(parsed)


def test_control_tokens_need_not_be_marked_special() -> None:
    """Qwen2.5-Coder lists its FIM tokens as added tokens that are not special."""

    def unmark(parsed: dict[str, Any]) -> None:
        for token in parsed["added_tokens"]:
            token["special"] = False

    tokenizer = parse_tokenizer(_edited(unmark))
    assert tokenizer.control_ids["<|fim_prefix|>"] not in tokenizer.encode("<|fim_prefix|>")


def test_a_normalizer_does_not_change_text() -> None:
    """NFC would turn a decomposed é into another character than the file holds."""
    tokenizer = parse_tokenizer(_edited(lambda parsed: parsed.update(normalizer={"type": "NFC"})))
    assert tokenizer.decode(tokenizer.encode("e\u0301")) == "e\u0301"


def test_added_runs_of_blanks_stay_text() -> None:
    def add_blanks(parsed: dict[str, Any]) -> None:
        blanks = dict(parsed["added_tokens"][0], id=512, content=" " * 24, special=False)
        parsed["added_tokens"].append(blanks)

    tokenizer = parse_tokenizer(_edited(add_blanks))
    assert 512 in tokenizer.encode(" " * 24 + "x")
    assert tokenizer.decode(tokenizer.encode(" " * 24 + "x")) == " " * 24 + "x"


def _drop_byte(parsed: dict[str, Any]) -> None:
    parsed["model"]["vocab"]["<0x0A>"] = parsed["model"]["vocab"].pop("Ċ")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "{}",
        "[1]",
        '{"model": {"type": "Unigram", "vocab": []}}',
        _edited(lambda parsed: parsed.update(pre_tokenizer=None)),
        _edited(lambda parsed: parsed["model"].update(continuing_subword_prefix="##")),
        _edited(_drop_byte),
    ],
)
def test_an_unfit_tokenizer_is_refused(written: str) -> None:
    with pytest.raises(CheckpointError):
        parse_tokenizer(written)


def test_a_missing_tokenizer_is_refused(tmp_path: Any) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_marked_blanks_give_the_ids_that_the_publishers_own_file_gives() -> None:
    """Splitting a text into words, and leaving out the blank before it, changes nothing else."""
    written = build_tokenizer_json("llama")
    theirs = tokenizers.Tokenizer.from_str(written)
    ours = parse_tokenizer(written)
    for line in TRAINING_TEXT.split("\n\n"):
        assert ours.encode(" " + line) == theirs.encode(line, add_special_tokens=False).ids


def test_the_mark_of_a_blank_is_a_character_as_any_other() -> None:
    tokenizer = TOKENIZERS["llama"]
    for text in ("▁", "a▁ b", "▁▁x▁", " ▁ "):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("▁") != tokenizer.encode(" ")


def test_a_piece_across_words_is_still_found() -> None:
    """A vocabulary may hold what SentencePiece would not: then nothing is split before merging."""

    def join(parsed: dict[str, Any]) -> None:
        vocabulary, merges = parsed["model"]["vocab"], parsed["model"]["merges"]
        vocabulary["a▁"] = len(vocabulary)
        merges.insert(0, ["a", "▁"])

    parsed = json.loads(build_tokenizer_json("llama"))
    join(parsed)
    tokenizer = parse_tokenizer(json.dumps(parsed))
    assert parsed["model"]["vocab"]["a▁"] in tokenizer.encode("xa y")
    assert tokenizer.decode(tokenizer.encode("xa y")) == "xa y"
