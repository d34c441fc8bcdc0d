"""SentencePiece's way to write a BPE: "▁" for a blank, and byte tokens for what has no other.

Owns the reading of such a tokenizer.json, as Llama, Gemma and Mistral have it. What changes text
(a blank put before it, unknown tokens) is taken out: `decode(encode(text)) == text` must hold.
Knows neither formats nor prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fimble_model.engine.protocol import TokenId
from fimble_model.errors import CheckpointError

__all__ = ["BLANK_MARK", "is_metaspace", "keep_to_text", "read_bytes_of_id"]

BLANK_MARK = "▁"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# A run of blanks and the word after it, or a run of line ends. SentencePiece trains pieces
# inside such words, so that splitting text there changes no id; `keep_to_text` makes sure.
_WORD = r"▁*[^▁\n]+|▁+|\n+"


def is_metaspace(parsed: Mapping[str, Any]) -> bool:
    """True for a BPE that falls back to byte tokens, and writes blanks as "▁"."""
    model = parsed["model"]
    kind = model.get("type") or "BPE"
    return kind == "BPE" and bool(model.get("byte_fallback")) and BLANK_MARK in model["vocab"]


def is_blank(content: str) -> bool:
    """True for an added token that is only blanks and line ends: text, not a control token."""
    return content.replace(BLANK_MARK, " ").isspace()


def keep_to_text(parsed: dict[str, Any]) -> None:
    """Leave only what turns plain text into pieces, and split it into words where that is safe."""
    parsed["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK_MARK}
    pieces = parsed["model"]["vocab"]
    is_safe = all(
        re.fullmatch(_WORD, piece) for piece in pieces if not _BYTE_TOKEN.fullmatch(piece)
    )
    parsed["pre_tokenizer"] = (
        {"type": "Split", "pattern": {"Regex": _WORD}, "behavior": "Isolated", "invert": False}
        if is_safe
        else None
    )


def read_bytes_of_id(
    vocabulary: Mapping[str, int], control_ids: Iterable[TokenId]
) -> dict[TokenId, bytes]:
    """The bytes of every piece that is no control token. Raises `CheckpointError`."""
    controls = set(control_ids)
    bytes_of_id: dict[TokenId, bytes] = {}
    byte_values: set[int] = set()
    for piece, index in vocabulary.items():
        token_id = TokenId(index)
        if token_id in controls:
            continue
        if found := _BYTE_TOKEN.fullmatch(piece):
            value = int(found.group(1), 16)
            byte_values.add(value)
            bytes_of_id[token_id] = bytes((value,))
        else:
            bytes_of_id[token_id] = piece.replace(BLANK_MARK, " ").encode()
    if len(byte_values) < 256:
        raise CheckpointError(
            expected="a vocabulary with a token <0xHH> for each of the 256 bytes",
            found=f"{256 - len(byte_values)} bytes without one",
            to_do="Fetch or export the model again.",
        )
    return bytes_of_id
