"""Golden prompts: what each family's model is shown, to be held against its publisher's words.

A prompt is written with its control tokens in double brackets. The golden file is read by people:
`FIMBLE_WRITE_GOLDEN=1` writes it anew, and a change of it is reviewed as code is.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.prefix import n_common_tokens
from fimble_model.engine.protocol import SourceFile, Surroundings
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer, parse_tokenizer
from fimble_testing.tiny_tokenizers import build_tokenizer_json

GOLDEN = Path(__file__).parents[2] / "golden" / "fim" / "prompts.txt"
SURROUNDINGS = Surroundings(
    repository="shop",
    path="shop/cart.py",
    files=(
        SourceFile("shop/item.py", "class Item:\n    price = 1\n"),
        SourceFile("shop/tax.py", "RATE = 2"),
    ),
)
BY_FAMILY = {fim_format.family: fim_format for fim_format in FAMILIES}


def _tokenizer_for(fim_format: FimFormat) -> Tokenizer:
    """A small tokenizer whose control tokens are the family's."""
    parsed = json.loads(build_tokenizer_json("qwen"))
    known = {token["content"] for token in parsed["added_tokens"]}
    others = sorted(set(fim_format.control_strings()) - known)
    first = max(parsed["model"]["vocab"].values()) + 1
    for index, content in enumerate(others, first):
        parsed["added_tokens"].append(dict(parsed["added_tokens"][0], id=index, content=content))
    return parse_tokenizer(json.dumps(parsed))


def _codec_for(fim_format: FimFormat) -> FimCodec:
    return FimCodec(_tokenizer_for(fim_format), fim_format)


def _render(
    codec: FimCodec, prefix: str, suffix: str, surroundings: Surroundings | None = None
) -> str:
    prompt = codec.encode_fim(prefix=prefix, suffix=suffix, surroundings=surroundings)
    by_id = {token_id: text for text, token_id in codec.tokenizer.control_ids.items()}
    pieces = [
        f"⟦{by_id[token_id]}⟧".encode()
        if token_id in by_id
        else codec.tokenizer.bytes_of([token_id])
        for token_id in prompt.token_ids
    ]
    healed = f"⟨healed:{prompt.healing_text}⟩" if prompt.healing_text else ""
    return b"".join(pieces).decode() + healed


def _golden_text() -> str:
    blocks = []
    for fim_format in FAMILIES:
        codec = _codec_for(fim_format)
        control = next(iter(fim_format.control_strings()))
        blocks += [
            f"=== {fim_format.family} ({fim_format.source})",
            "--- alone",
            _render(codec, "total = ", "\nprint(total)\n"),
            "--- with other files",
            _render(codec, "total = ", "\nprint(total)\n", SURROUNDINGS),
            f"--- with {control} as the user's text",
            _render(codec, f"x = '{control}'\ny = ", f"\nz = '{control}'\n"),
        ]
    return "\n".join(blocks) + "\n"


def test_every_family_is_shown_its_own_form() -> None:
    found = _golden_text()
    if os.environ.get("FIMBLE_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", BY_FAMILY)
def test_control_tokens_in_a_prompt_are_the_formats_own(family: str) -> None:
    """The user's text holds every control string, and adds not one control token."""
    fim_format = BY_FAMILY[family]
    codec = _codec_for(fim_format)
    controls = set(codec.tokenizer.control_ids.values())
    nasty = " ".join(codec.tokenizer.control_ids)
    surroundings = Surroundings(
        repository=nasty, path=nasty, files=(SourceFile(nasty, nasty), SourceFile("a", "b"))
    )
    plain = Surroundings(repository="r", path="p", files=(SourceFile("q", "c"),) * 2)
    for nasty_prompt, plain_prompt in (
        (
            codec.encode_fim(prefix=nasty, suffix=nasty, surroundings=surroundings),
            codec.encode_fim(prefix="", suffix="", surroundings=plain),
        ),
        (
            codec.encode_fim(prefix=nasty, suffix=nasty),
            codec.encode_fim(prefix="", suffix=""),
        ),
    ):
        found = [token_id for token_id in nasty_prompt.token_ids if token_id in controls]
        assert found == [token_id for token_id in plain_prompt.token_ids if token_id in controls]


@pytest.mark.parametrize("family", BY_FAMILY)
def test_typing_on_leaves_the_prompts_beginning_as_it_is(family: str) -> None:
    """Else the cache of keys and values would be of no use where the family could profit."""
    codec = _codec_for(BY_FAMILY[family])
    first = codec.encode_fim(prefix="a = b + ", suffix="\nc\n", surroundings=SURROUNDINGS)
    second = codec.encode_fim(prefix="a = b + c - ", suffix="\nc\n", surroundings=SURROUNDINGS)
    bare = codec.encode_fim(prefix="", suffix="", surroundings=SURROUNDINGS)
    alone = codec.encode_fim(prefix="", suffix="")
    n_files = len(bare.token_ids) - len(alone.token_ids)
    n_common = n_common_tokens(first.token_ids, second.token_ids)
    assert n_common >= n_files
