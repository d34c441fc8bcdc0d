"""Text to token ids and back, such that user text can never become a control token.

Owns the byte-level vocabulary and the split between plain tokens and control tokens. Never
knows FIM formats, prompts or the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import tokenizers

from fimble_model.engine.protocol import TokenId
from fimble_model.errors import CheckpointError
from fimble_model.text import metaspace
from fimble_model.text.byte_alphabet import CHARACTER_OF_BYTE, try_token_bytes

__all__ = ["EncodedText", "Tokenizer", "load_tokenizer", "parse_tokenizer"]

_TO_DO = "Use a checkpoint whose tokenizer.json is a BPE over bytes (Qwen, StarCoder, Llama, ...)."


class EncodedText(NamedTuple):
    """Token ids, and how many of the last ones belong to the text's last word.

    A word is what the tokenizer splits text into before it merges bytes: no token reaches
    across its ends, so all but the last word stay as they are when text is typed on.
    """

    token_ids: list[TokenId]
    n_last_word_tokens: int


class Tokenizer:
    """A BPE over bytes without its control tokens, and the control tokens beside it.

    Keeps the invariant that `encode` yields ids with bytes only, never a control token's, and
    that joining those bytes gives the text back. `blank_mark` is the character that the
    vocabulary writes blanks with, where it has one.
    """

    def __init__(
        self,
        plain: tokenizers.Tokenizer,
        bytes_of_id: Mapping[TokenId, bytes],
        control_ids: Mapping[str, TokenId],
        blank_mark: str | None = None,
    ) -> None:
        self._plain = plain
        self._blank_mark = blank_mark
        self.control_ids = control_ids
        self.n_ids = 1 + max((*bytes_of_id, *control_ids.values()))
        # Ids without bytes are control tokens, or holes in the vocabulary.
        self.token_bytes: tuple[bytes, ...] = tuple(
            bytes_of_id.get(TokenId(index), b"") for index in range(self.n_ids)
        )

    def encode(self, text: str) -> list[TokenId]:
        """Plain token ids of any text; lone surrogates become U+FFFD."""
        return self.encode_words(text).token_ids

    def encode_words(self, text: str) -> EncodedText:
        """Token ids of any text, and where its last word begins."""
        if self._blank_mark is None or self._blank_mark not in text:
            return self._encode_run(text)
        # The mark itself, in a text, is none: its bytes say so.
        token_ids: list[TokenId] = []
        *runs, last = text.split(self._blank_mark)
        for run in runs:
            token_ids += self._encode_run(run).token_ids + self._mark_ids
        encoded = self._encode_run(last)
        n_last = encoded.n_last_word_tokens or len(self._mark_ids)
        return EncodedText(token_ids + encoded.token_ids, n_last)

    @cached_property
    def _mark_ids(self) -> list[TokenId]:
        assert self._blank_mark is not None, "asked where there is a mark"
        single = {written: TokenId(index) for index, written in enumerate(self.token_bytes)}
        return [single[bytes((byte,))] for byte in self._blank_mark.encode()]

    def _encode_run(self, text: str) -> EncodedText:
        encoding = self._encoding(text)
        words = encoding.word_ids
        n_last = 0
        while n_last < len(words) and words[-1 - n_last] == words[-1]:
            n_last += 1
        return EncodedText(cast(list[TokenId], encoding.ids), n_last)

    def encode_words_inside(self, text: str) -> EncodedText:
        """Like `encode_words`, for a text before which something stands.

        At its very start a text may be split in another way. A digit before it joins nothing
        but further digits. Where blanks are marked, nothing is special about the start.
        """
        if self._blank_mark is not None:
            return self.encode_words(text)
        encoded = self.encode_words("1" + text)
        if encoded.token_ids and self.token_bytes[encoded.token_ids[0]] == b"1":
            n_last = min(encoded.n_last_word_tokens, len(encoded.token_ids) - 1)
            return EncodedText(encoded.token_ids[1:], n_last)
        return self.encode_words(text)

    def bytes_of(self, token_ids: Iterable[TokenId]) -> bytes:
        """The tokens' bytes, joined; control tokens and unknown ids have none."""
        known, n_ids = self.token_bytes, self.n_ids
        return b"".join(known[token_id] for token_id in token_ids if 0 <= token_id < n_ids)

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """Whole characters of the tokens; control tokens and stray bytes are left out."""
        return self.bytes_of(token_ids).decode("utf-8", errors="ignore")

    def _encoding(self, text: str) -> tokenizers.Encoding:
        try:
            return self._plain.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            # An editor may send half of a surrogate pair, which has no UTF-8.
            units = text.encode("utf-16-le", errors="surrogatepass")
            whole = units.decode("utf-16-le", errors="replace")
            return self._plain.encode(whole, add_special_tokens=False)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Tokenizer of a checkpoint folder, or of a GGUF file.

    Raises `CheckpointError` where there is none to use.
    """
    if folder.suffix.lower() == ".gguf" and folder.is_file():
        from fimble_model.gguf_file.header import read_header
        from fimble_model.gguf_file.vocabulary import build_tokenizer_json

        return parse_tokenizer(build_tokenizer_json(read_header(folder)))
    path = folder / "tokenizer.json"
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            expected="a readable tokenizer.json in the model's folder",
            found=f"{type(error).__name__} at {path}",
            to_do="Fetch or export the model again.",
        ) from error
    return parse_tokenizer(written)


def parse_tokenizer(written: str) -> Tokenizer:
    """Tokenizer from the text of a tokenizer.json; `CheckpointError` where it is unfit."""
    try:
        parsed: dict[str, Any] = json.loads(written)
        added: list[dict[str, Any]] = parsed.get("added_tokens") or []
        marks_blanks = metaspace.is_metaspace(parsed)
        is_blank = metaspace.is_blank if marks_blanks else str.isspace
        control_ids = {
            str(token["content"]): TokenId(int(token["id"]))
            for token in added
            if not is_blank(str(token["content"]))
        }
        # Where blanks are marked, runs of them are pieces as others are, and merges lead to them.
        blanks = [] if marks_blanks else [token for token in added if is_blank(token["content"])]
        _refuse_other_kinds(parsed, marks_blanks=marks_blanks)
        _strip_controls(parsed, control_ids, blanks)
        if marks_blanks:
            metaspace.keep_to_text(parsed)
        plain = tokenizers.Tokenizer.from_str(json.dumps(parsed))
        vocabulary: dict[str, int] = parsed["model"]["vocab"]
    except CheckpointError:
        raise
    except Exception as error:  # The tokenizers library raises bare Exception for bad files.
        raise CheckpointError(
            expected="a tokenizer.json that the tokenizers library can read",
            found=f"{type(error).__name__} while reading it",
            to_do="Fetch or export the model again.",
        ) from error
    if marks_blanks:
        bytes_of_id = metaspace.read_bytes_of_id(vocabulary, control_ids.values())
        tokenizer = Tokenizer(plain, bytes_of_id, control_ids, metaspace.BLANK_MARK)
    else:
        bytes_of_id = _build_bytes_of_id(vocabulary, blanks, set(control_ids.values()))
        tokenizer = Tokenizer(plain, bytes_of_id, control_ids)
    _verify(tokenizer)
    return tokenizer


def _refuse_other_kinds(parsed: Mapping[str, Any], *, marks_blanks: bool) -> None:
    model = parsed["model"]
    kind = model.get("type") or "BPE"
    is_byte_level = "ByteLevel" in json.dumps(parsed.get("pre_tokenizer"))
    if kind != "BPE" or not (is_byte_level or marks_blanks):
        raise CheckpointError(
            expected="a BPE tokenizer over bytes",
            found=f"a {kind} tokenizer" + (" without byte level" if kind == "BPE" else ""),
            to_do=_TO_DO,
        )
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise CheckpointError(
            expected="a BPE without marks inside its tokens",
            found="a continuing_subword_prefix or end_of_word_suffix",
            to_do=_TO_DO,
        )


def _strip_controls(
    parsed: dict[str, Any], control_ids: Mapping[str, TokenId], blanks: list[dict[str, Any]]
) -> None:
    """Leave only what turns plain text into bytes and merges them.

    Runs of blanks that a checkpoint keeps among its added tokens are text, and stay. The
    normalizer goes because `decode(encode(text))` must be the text itself.
    """
    as_text = {"special": False, "normalized": False, "lstrip": False, "rstrip": False}
    parsed["added_tokens"] = [token | as_text for token in blanks]
    for part in ("normalizer", "post_processor", "truncation", "padding"):
        parsed[part] = None
    model = parsed["model"]
    model["dropout"] = None
    model["unk_token"] = None
    model["vocab"] = {
        written: index for written, index in model["vocab"].items() if written not in control_ids
    }
    # An added token keeps its id only where the vocabulary names it too.
    model["vocab"] |= {token["content"]: token["id"] for token in blanks}
    pre_tokenizer = parsed["pre_tokenizer"] or {"type": "none"}
    for step in (pre_tokenizer, *pre_tokenizer.get("pretokenizers", ())):
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False


def _build_bytes_of_id(
    vocabulary: Mapping[str, int], blanks: Iterable[Mapping[str, Any]], control_ids: set[TokenId]
) -> dict[TokenId, bytes]:
    missing = [byte for byte, written in CHARACTER_OF_BYTE.items() if written not in vocabulary]
    if missing:
        raise CheckpointError(
            expected="a vocabulary with an entry for each of the 256 bytes",
            found=f"{len(missing)} bytes without one",
            to_do=_TO_DO,
        )
    bytes_of_id = {
        TokenId(index): token_bytes
        for written, index in vocabulary.items()
        if index not in control_ids and (token_bytes := try_token_bytes(written)) is not None
    }
    for token in blanks:
        bytes_of_id[TokenId(int(token["id"]))] = str(token["content"]).encode()
    return bytes_of_id


_PROBES = ("é漢😀\t\r\n\n  x = 'y'\f\u2028", "e\u0301", "\n    return 12345")


def _verify(tokenizer: Tokenizer) -> None:
    """Hold the two promises on each control string, alone and inside text."""
    controls = [probe for text in tokenizer.control_ids for probe in (text, f"x = '{text}'\n")]
    for text in (*_PROBES, *controls):
        token_ids = tokenizer.encode(text)
        if tokenizer.decode(token_ids) != text:
            raise CheckpointError(
                expected="a tokenizer that gives text back unchanged",
                found=f"one that changes the probe {text!r}",
                to_do=_TO_DO,
            )
