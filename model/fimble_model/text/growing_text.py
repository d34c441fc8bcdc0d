"""Token ids of a text that grows at its end, as a prefix does while the user types.

Owns the ids of the text's head, so that only its tail is encoded again. Gives exactly the ids
that encoding the whole text gives; knows nothing of prompts.
"""

from __future__ import annotations

from typing import NamedTuple

from fimble_model.engine.protocol import TokenId
from fimble_model.text.tokenizer import EncodedText, Tokenizer

__all__ = ["GrowingText"]

# The head ends at least this far before the end, and is set anew when the tail has grown to
# the larger number. Guessed; a word longer than the first is only encoded again and again.
_LEAST_TAIL_CHARS = 256
_MOST_TAIL_CHARS = 1024


class _Head(NamedTuple):
    """The first `n_chars` characters' ids; `text` holds a little more, to see what follows."""

    text: str
    n_chars: int
    token_ids: list[TokenId]


class GrowingText:
    """Encodes one text after another, fast where they share all but their end.

    A tokenizer splits text into words from left to right before it merges bytes. So the ids up
    to the start of a word stay, as long as the text around that place does.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._head: _Head | None = None

    def encode_words(self, text: str) -> EncodedText:
        """The same as `Tokenizer.encode_words`."""
        head = self._head
        if head and text.startswith(head.text) and len(text) - head.n_chars <= _MOST_TAIL_CHARS:
            tail = self._tokenizer.encode_words_inside(text[head.n_chars :])
            return EncodedText([*head.token_ids, *tail.token_ids], tail.n_last_word_tokens)
        encoded = self._tokenizer.encode_words(text)
        self._head = self._try_cut(text, encoded)
        return encoded

    def _try_cut(self, text: str, encoded: EncodedText) -> _Head | None:
        """The head up to the last line end that lies far enough before the text's end."""
        line_end = text.rfind("\n", 0, max(len(text) - _LEAST_TAIL_CHARS, 0))
        if line_end <= 0:
            return None
        n_chars = line_end - text[:line_end].endswith("\r")
        tail = self._tokenizer.encode_words_inside(text[n_chars:])
        head_ids = encoded.token_ids[: len(encoded.token_ids) - len(tail.token_ids)]
        # The line end may belong to a word that begins before it, as `:` and a line end do in
        # some tokenizers; then the ids do not add up and there is no head here.
        if head_ids + tail.token_ids != encoded.token_ids:
            return None
        if self._tokenizer.decode(head_ids) != text[:n_chars]:
            return None
        return _Head(text[: n_chars + _LEAST_TAIL_CHARS // 2], n_chars, head_ids)
