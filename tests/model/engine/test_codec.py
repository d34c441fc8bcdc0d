"""Laws of the prompt: the binding layouts, healed at the cursor, user text as text."""

from __future__ import annotations

import pytest

from fimble_model.engine.codec import FimCodec
from fimble_testing.tiny_engines import build_engine
from fimble_testing.tiny_tokenizers import CONTROL_STRINGS, STYLES

CODECS: dict[str, FimCodec] = {style: build_engine(style=style).codec for style in STYLES}


def _written(codec: FimCodec, prefix: str, suffix: str) -> str:
    """The prompt with control tokens by name, and what is healed after a bar."""
    names = {token_id: text for text, token_id in codec.tokenizer.control_ids.items()}
    prompt = codec.encode_fim(prefix=prefix, suffix=suffix)
    parts = [names.get(token_id) or codec.decode([token_id]) for token_id in prompt.token_ids]
    return "".join(parts) + "‖" + prompt.healing_text


def test_suffix_first_puts_the_prefix_last_so_that_the_middle_follows_at_once() -> None:
    assert _written(CODECS["fimble"], "def total(7", "\n    return\n") == (
        "<|fim_prefix|><|fim_suffix|>\n    return\n<|fim_middle|>def total(7‖"
    )
    assert _written(CODECS["fimble"], "def tot", ")\n") == (
        "<|fim_prefix|><|fim_suffix|>)\n<|fim_middle|>def‖ tot"
    )


def test_prefix_first_puts_the_suffix_between() -> None:
    assert _written(CODECS["qwen"], "def tot", ")\n") == (
        "<|fim_prefix|>def<|fim_suffix|>)\n<|fim_middle|>‖ tot"
    )


@pytest.mark.parametrize("style", STYLES)
def test_control_strings_in_the_file_are_no_control_tokens(style: str) -> None:
    codec = CODECS[style]
    text = " ".join(CONTROL_STRINGS) + "7"  # Nothing goes on from there: it is not healed.
    prompt = codec.encode_fim(prefix=text, suffix=text)
    controls = [i for i in prompt.token_ids if i in codec.tokenizer.control_ids.values()]
    assert len(controls) == 3
    assert codec.decode(prompt.token_ids) + prompt.healing_text == text + text


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_buffer_has_a_prompt(style: str) -> None:
    prompt = CODECS[style].encode_fim(prefix="", suffix="")
    assert len(prompt.token_ids) == 3
    assert prompt.healing_text == ""


def test_the_suffix_may_change_between_prompts() -> None:
    codec = CODECS["fimble"]
    for suffix in ("a", "b", "a", ""):
        assert suffix in _written(codec, "x", suffix)
