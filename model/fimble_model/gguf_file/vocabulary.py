"""What tokenizer.json would say of the vocabulary in a GGUF file.

Owns that translation for the two kinds that code models have: a BPE over bytes ("gpt2") and
SentencePiece's ("llama"). Which tokens are control tokens follows from their types, and from the
metadata that names tokens by their use. Encodes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fimble_model.errors import CheckpointError
from fimble_model.gguf_file.header import GgufHeader
from fimble_model.gguf_file.splittings import SPLITTINGS

__all__ = ["build_tokenizer_json", "find_fim_tokens", "find_repository"]

_WHOLE = "tokenizer.huggingface.json"
_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5
_NORMAL = 1
# Tokens that the metadata names by what they are for; they are control tokens whatever their type.
_USES = (
    *("bos", "eos", "eot", "eom", "padding", "cls", "mask"),
    *("prefix", "suffix", "middle", "fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep"),
    "fim_sep",
)
_FIM_USES = ("fim_pre", "fim_suf", "fim_mid", "prefix", "suffix", "middle")
_ADDRESSES = (
    "general.base_model.0.repo_url",
    "general.source.repo_url",
    "general.repo_url",
    "general.source.huggingface.repository",
)


def build_tokenizer_json(header: GgufHeader) -> str:
    """The text of a tokenizer.json. Raises `CheckpointError` for what cannot be one."""
    metadata = header.metadata
    if isinstance(whole := metadata.get(_WHOLE), str):
        return whole
    kind = metadata.get("tokenizer.ggml.model")
    texts = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(texts, list) or kind not in ("gpt2", "llama"):
        raise CheckpointError(
            expected="a tokenizer in the GGUF file: a BPE over bytes or SentencePiece's",
            found="none" if kind is None or texts is None else f"one of kind {kind!r}",
            to_do="Choose a file that holds its tokenizer, or the model's safetensors.",
        )
    kinds = _kinds(metadata, len(texts))
    controls = _control_ids(metadata, kinds)
    vocabulary = {text: index for index, text in enumerate(texts) if kinds[index] != _UNUSED}
    added = [
        {"id": index, "content": texts[index], "special": True, "normalized": False}
        for index in sorted(controls)
    ]
    model, splitter = (
        _bytes_model(metadata, vocabulary)
        if kind == "gpt2"
        else _pieces_model(metadata, texts, kinds, vocabulary)
    )
    parsed = {"version": "1.0", "added_tokens": added, "pre_tokenizer": splitter, "model": model}
    empty = ("normalizer", "post_processor", "decoder", "truncation", "padding")
    return json.dumps(parsed | dict.fromkeys(empty))


def find_repository(header: GgufHeader) -> str | None:
    """The hub's name of the model that the file was made from, where it says so."""
    for name in _ADDRESSES:
        address = header.metadata.get(name)
        if isinstance(address, str) and address.strip("/").count("/") >= 1:
            return "/".join(address.strip("/").split("/")[-2:])
    return None


def find_fim_tokens(header: GgufHeader) -> tuple[str, ...]:
    """The tokens of prefix, suffix and middle, as far as the metadata names them."""
    texts = header.metadata.get("tokenizer.ggml.tokens")
    ids = (header.metadata.get(f"tokenizer.ggml.{use}_token_id") for use in _FIM_USES)
    if not isinstance(texts, list):
        return ()
    return tuple(texts[each] for each in ids if isinstance(each, int) and each < len(texts))


def _kinds(metadata: Mapping[str, object], n_ids: int) -> Sequence[int]:
    kinds = metadata.get("tokenizer.ggml.token_type")
    if kinds is None:
        return [_NORMAL] * n_ids
    if not isinstance(kinds, list) or len(kinds) != n_ids:
        raise CheckpointError(
            expected=f"a type for each of the {n_ids} tokens in the GGUF file",
            found=f"{len(kinds)}" if isinstance(kinds, list) else "none",
            to_do="Fetch the file again, or choose another one.",
        )
    return kinds


def _control_ids(metadata: Mapping[str, object], kinds: Sequence[int]) -> set[int]:
    by_use = (metadata.get(f"tokenizer.ggml.{use}_token_id") for use in _USES)
    named = {each for each in by_use if isinstance(each, int) and each < len(kinds)}
    by_kind = {i for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)}
    return named | by_kind


def _bytes_model(
    metadata: Mapping[str, object], vocabulary: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    splitting = metadata.get("tokenizer.ggml.pre")
    if splitting not in SPLITTINGS:
        raise CheckpointError(
            expected="tokenizer.ggml.pre to name a splitting that Fimble knows: "
            f"{', '.join(SPLITTINGS)}",
            found="none" if splitting is None else f"{splitting!r}",
            to_do="Use the model's safetensors: with another splitting it would write worse.",
        )
    steps = [
        {"type": "Split", "pattern": {"Regex": each}, "behavior": "Isolated", "invert": False}
        for each in SPLITTINGS[cast("str", splitting)]
    ]
    over_bytes = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    splitter = {"type": "Sequence", "pretokenizers": [*steps, over_bytes | {"trim_offsets": True}]}
    merges = metadata.get("tokenizer.ggml.merges")
    if not isinstance(merges, list):
        raise CheckpointError(
            expected="the merges of a BPE in the GGUF file",
            found="none",
            to_do="Choose a file that holds its tokenizer, or the model's safetensors.",
        )
    # Words that are tokens are taken as such by Llama 3's, whatever its merges would do.
    ignores = SPLITTINGS[cast("str", splitting)] == SPLITTINGS["llama-bpe"]
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": ignores}
    return model, splitter


def _pieces_model(
    metadata: Mapping[str, object],
    texts: Sequence[str],
    kinds: Sequence[int],
    vocabulary: Mapping[str, int],
) -> tuple[dict[str, Any], None]:
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(texts):
        raise CheckpointError(
            expected="a score for each of SentencePiece's pieces in the GGUF file",
            found="none" if scores is None else "another number of them",
            to_do="Choose a file that holds its tokenizer, or the model's safetensors.",
        )
    pieces = {texts[i]: scores[i] for i, kind in enumerate(kinds) if kind == _NORMAL}
    model = {
        "type": "BPE",
        "vocab": vocabulary,
        "merges": _merges(pieces, vocabulary),
        "byte_fallback": True,
        "fuse_unk": True,
    }
    return model, None


def _merges(pieces: Mapping[str, float], ids: Mapping[str, int]) -> list[list[str]]:
    """The merges that SentencePiece's scores mean: the best piece first, however it is made up."""
    found: list[tuple[float, int, int, str, str]] = []
    for piece, score in pieces.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in pieces and right in pieces:
                found.append((-score, ids[left], ids[right], left, right))
    # Stable: among equal scores, the order of the pieces that they make.
    order = sorted(found, key=lambda each: (each[0], ids[each[3] + each[4]], each[1], each[2]))
    return [[left, right] for *_, left, right in order]
