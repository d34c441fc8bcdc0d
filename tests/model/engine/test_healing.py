"""Laws of token healing: where the boundary lies, and by which tokens text may be spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.healing import (
    MAX_HEALING_CHARS,
    HealedText,
    HealingPlan,
    TokenIndex,
    heal,
    plan_healing,
)
from fimble_model.text.tokenizer import Tokenizer, parse_tokenizer
from fimble_testing.tiny_tokenizers import STYLES, TRAINING_TEXT, build_tokenizer_json

TOKENIZERS = {style: parse_tokenizer(build_tokenizer_json(style)) for style in STYLES}
INDICES = {style: TokenIndex(TOKENIZERS[style].token_bytes) for style in STYLES}

words = st.text(st.sampled_from("retunsl _.(é漢😀\n\t 12"), min_size=1, max_size=12)


def _heal(text: str, tokenizer: Tokenizer, index: TokenIndex) -> HealedText:
    return heal(tokenizer.encode_words(text), tokenizer, index)


def _covering(plan: HealingPlan, link: int, style: str) -> set[bytes]:
    sorted_ids = INDICES[style].sorted_ids
    known = TOKENIZERS[style].token_bytes
    return {known[sorted_ids[index]] for index in plan.links[link].covering}


@given(start=st.binary(max_size=3), tokens=st.lists(st.binary(max_size=4)))
def test_the_index_finds_what_a_scan_of_the_vocabulary_finds(
    start: bytes, tokens: list[bytes]
) -> None:
    index = TokenIndex(tokens)
    found = {int(index.sorted_ids[place]) for place in index.range_covering(start)}
    assert found == {
        number for number, written in enumerate(tokens) if written and written.startswith(start)
    }


@pytest.mark.parametrize("style", STYLES)
@given(text=words)
def test_every_way_through_a_plan_spells_the_text(style: str, text: str) -> None:
    tokenizer: Tokenizer = TOKENIZERS[style]
    plan = plan_healing(text, tokenizer, INDICES[style])
    written = text.encode()
    spelled = b""
    for place, link in enumerate(plan.links):
        for covering in _covering(plan, place, style):
            assert (spelled + covering).startswith(written)
        if link.next_id is not None:
            spelled += tokenizer.token_bytes[link.next_id]
    assert written.startswith(spelled)
    assert (spelled == written) == plan.links[-1].next_is_covering
    assert plan.links[-1].covering, "the last link can always end the text"


@pytest.mark.parametrize("style", STYLES)
@given(text=words)
def test_healing_takes_back_little_and_loses_nothing(style: str, text: str) -> None:
    tokenizer = TOKENIZERS[style]
    healed = _heal(text, tokenizer, INDICES[style])
    assert tokenizer.decode(healed.token_ids) + healed.healing_text == text
    assert len(healed.healing_text) <= MAX_HEALING_CHARS


@pytest.mark.parametrize("style", STYLES)
def test_half_a_word_is_taken_back_whole(style: str) -> None:
    healed = _heal("    retu", TOKENIZERS[style], INDICES[style])
    # Where blanks are marked, which of them join the word is known when the word is whole.
    assert healed.healing_text == ("    retu" if style == "llama" else " retu")
    plan = plan_healing(" retu", TOKENIZERS[style], INDICES[style])
    assert {b" return", b" returned"} & _covering(plan, 0, style)


def test_indentation_after_a_line_end_may_grow() -> None:
    """After auto-indent the model may go deeper, and the blank before a word may join it."""
    plan = plan_healing("\n    ", TOKENIZERS["fimble"], INDICES["fimble"])
    assert {b"\n    ", b"\n        "} <= _covering(plan, 0, "fimble")
    healed = _heal("if x:\n        ", TOKENIZERS["qwen"], INDICES["qwen"])
    assert healed.healing_text.endswith("        ")
    plan = plan_healing("        ", TOKENIZERS["qwen"], INDICES["qwen"])
    assert TOKENIZERS["qwen"].bytes_of(plan.chain) == b" " * 7
    assert {b" ", b" return", b" self"} <= _covering(plan, -1, "qwen")


@pytest.mark.parametrize("style", STYLES)
def test_a_word_that_no_token_extends_is_left_alone(style: str) -> None:
    healed = _heal("x = 7", TOKENIZERS[style], INDICES[style])
    assert healed.healing_text == ""
    assert healed.token_ids == TOKENIZERS[style].encode("x = 7")


@pytest.mark.parametrize("style", STYLES)
def test_a_long_word_is_cut_at_whole_characters(style: str) -> None:
    text = "漢" * 100
    healed = _heal(text, TOKENIZERS[style], INDICES[style])
    assert healed.healing_text in ("", *(text[:n] for n in range(1, MAX_HEALING_CHARS + 1)))


@pytest.mark.parametrize("style", STYLES)
def test_typing_on_mostly_extends_the_prompt(style: str) -> None:
    """Typed character by character, all ids but a word's are those of the prompt before."""
    tokenizer, index = TOKENIZERS[style], INDICES[style]
    n_tokens = n_kept = 0
    before: list[int] = []
    for n_chars in range(400, len(TRAINING_TEXT)):
        token_ids = [int(i) for i in _heal(TRAINING_TEXT[:n_chars], tokenizer, index).token_ids]
        n_kept += sum(1 for left, right in zip(before, token_ids, strict=False) if left == right)
        n_tokens += len(token_ids)
        before = token_ids
    assert n_kept / n_tokens > 0.98
