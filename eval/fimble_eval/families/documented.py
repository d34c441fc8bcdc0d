"""Each family's prompt as its publisher documents it, and whether ours is that prompt.

Owns the documented forms, written out from the sources that `fim_families` names, independently of
the layouts there: P, S the text before and after the cursor; R the repository; F, C another file's
path and text; O the path of the file at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.protocol import Prompt, SourceFile, Surroundings, TokenId
from fimble_model.shipped import find_model_folder
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer, parse_tokenizer

__all__ = ["DOCUMENTED", "PromptFinding", "compare_prompts"]

_QWEN = "<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>"
_QWEN_FILES = "<|repo_name|>{R}\n<|file_sep|>{F}\n{C}<|file_sep|>{O}\n"
_STARCODER = "<fim_prefix>{P}<fim_suffix>{S}<fim_middle>"
_SUFFIX_PREFIX = "<fim_suffix>{S}<fim_prefix>{P}<fim_middle>"
_FIMBLE = "<|fim_prefix|><|fim_suffix|>{S}<|fim_middle|>{P}"
_DEEPSEEK_BEGIN = "<｜begin▁of▁sentence｜>"  # noqa: RUF001  DeepSeek's bars are U+FF5C
_DEEPSEEK = "<｜fim▁begin｜>{P}<｜fim▁hole｜>{S}<｜fim▁end｜>"  # noqa: RUF001  the same

DOCUMENTED: Mapping[str, tuple[str, str | None]] = {
    "fimble": (_FIMBLE, _QWEN_FILES + _FIMBLE),
    "qwen2.5-coder": (_QWEN, _QWEN_FILES + _QWEN),
    "codeqwen1.5": (_STARCODER, None),
    "santacoder": ("<fim-prefix>{P}<fim-suffix>{S}<fim-middle>", None),
    "starcoder": (_STARCODER, None),
    "starcoder2": (
        _STARCODER,
        "<repo_name>{R}<file_sep>{F}\n{C}<file_sep><fim_prefix>{O}\n{P}<fim_suffix>{S}<fim_middle>",
    ),
    "codellama": ("<s>▁<PRE>▁<SUF>{S}▁<MID> {P}", None),
    "deepseek-coder": (
        _DEEPSEEK_BEGIN + _DEEPSEEK,
        _DEEPSEEK_BEGIN + _DEEPSEEK.replace("{P}", "#{F}\n{C}#{O}\n{P}"),
    ),
    "codegemma": ("<bos>" + _QWEN, "<bos>{C}<|file_separator|>" + _QWEN),
    "codestral": (
        "<s>[SUFFIX]{S}[PREFIX]{P}",
        "<s>[SUFFIX]{S}[PREFIX]+++++ {F}\n{C}\n+++++ {O}\n{P}",
    ),
    "mellum": (_SUFFIX_PREFIX, "<filename>{F}\n{C}<filename>{O}\n" + _SUFFIX_PREFIX),
    "seed-coder": (
        "<[begin▁of▁sentence]><[fim-suffix]>{S}<[fim-prefix]>{P}<[fim-middle]>",
        None,
    ),
    "granite-code": (_STARCODER, None),
    "stable-code": (_STARCODER, None),
    "refact": (_SUFFIX_PREFIX, None),
    "incoder": ("<|endoftext|>{P}<|mask:0|>{S}<|mask:1|><|mask:0|>", None),
    "aixcoder": ("<s>▁<AIX-SPAN-PRE>▁<AIX-SPAN-POST>{S}▁<AIX-SPAN-MIDDLE>{P}", None),
    "codeshell": (_STARCODER, None),
    "falcon-h1-tiny-coder": ("<|prefix|>{P}<|suffix|>{S}<|middle|>", None),
}
"""Alone, and with other files where the publisher documents that."""

_TEXTS = {
    "P": "total = 1\n",
    "S": "\nprint(total)\n",
    "R": "shop",
    "F": "shop/item.py",
    "C": "PRICE = 1\n",
    "O": "shop/cart.py",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFinding:
    """One family's prompts. `with_files` None: we show none, for none is documented with a hole."""

    family: str
    orders: str
    source: str
    alone: bool
    with_files: bool | None
    special_strings: bool


def compare_prompts() -> list[PromptFinding]:
    """Every family that we have a format for. A `KeyError` names one that is not written out."""
    return [_compare(fim_format) for fim_format in FAMILIES]


def _compare(fim_format: FimFormat) -> PromptFinding:
    codec = FimCodec(_tokenizer_for(fim_format), fim_format)
    alone, with_files = DOCUMENTED[fim_format.family]
    surroundings = Surroundings(
        repository=_TEXTS["R"],
        path=_TEXTS["O"],
        files=(SourceFile(_TEXTS["F"], _TEXTS["C"]),),
    )
    return PromptFinding(
        family=fim_format.family,
        orders=", ".join(order.value for order in fim_format.orders),
        source=fim_format.source,
        alone=_is_as_documented(codec, alone, _TEXTS, None),
        with_files=None
        if with_files is None and fim_format.files is None
        else with_files is not None and _is_as_documented(codec, with_files, _TEXTS, surroundings),
        special_strings=_keeps_special_strings(codec, alone),
    )


def _is_as_documented(
    codec: FimCodec, form: str, texts: Mapping[str, str], surroundings: Surroundings | None
) -> bool:
    prompt = codec.encode_fim(prefix=texts["P"], suffix=texts["S"], surroundings=surroundings)
    # What token healing took back is spelled by the first tokens that are generated.
    kept = texts["P"].removesuffix(prompt.healing_text) if prompt.healing_text else texts["P"]
    return _read(codec, prompt.token_ids) == form.format(**{**texts, "P": kept})


def _keeps_special_strings(codec: FimCodec, form: str) -> bool:
    """The prompt of a text full of them has the control tokens of any other, and that text."""
    strings = "".join(sorted(set(codec.fim_format.control_strings())))
    texts = {**_TEXTS, "P": f"x = '{strings}'\n", "S": f"\ny = '{strings}'\n"}
    plain = codec.encode_fim(prefix=_TEXTS["P"], suffix=_TEXTS["S"])
    special = codec.encode_fim(prefix=texts["P"], suffix=texts["S"])
    same_controls = _controls(codec, special) == _controls(codec, plain)
    return same_controls and _is_as_documented(codec, form, texts, None)


def _controls(codec: FimCodec, prompt: Prompt) -> list[TokenId]:
    controls = frozenset(codec.tokenizer.control_ids.values())
    return [token_id for token_id in prompt.token_ids if token_id in controls]


def _read(codec: FimCodec, token_ids: Sequence[TokenId]) -> str:
    string_of = {id_: string for string, id_ in codec.tokenizer.control_ids.items()}
    return b"".join(
        string_of[token_id].encode()
        if token_id in string_of
        else codec.tokenizer.bytes_of([token_id])
        for token_id in token_ids
    ).decode()


def _tokenizer_for(fim_format: FimFormat) -> Tokenizer:
    """The shipped small model's, with the family's control tokens besides its own."""
    folder = find_model_folder("fimble-nano")
    parsed: Any = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = parsed["added_tokens"]
    known = {token["content"] for token in added}
    first = 1 + max(*parsed["model"]["vocab"].values(), *(token["id"] for token in added))
    others = sorted(set(fim_format.control_strings()) - known)
    for token_id, content in enumerate(others, first):
        added.append(added[0] | {"id": token_id, "content": content})
    return parse_tokenizer(json.dumps(parsed))
