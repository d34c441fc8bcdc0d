"""Bytes of generated tokens to whole characters, one token at a time.

Owns the bytes of a character that is not complete yet. Never emits half a character: bytes
that begin none are dropped, and so is an incomplete one at the end.
"""

from __future__ import annotations

import codecs

__all__ = ["Detokenizer"]

_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """Turns one row's bytes into text; keeps an unfinished character between calls.

    The first `n_skipped_bytes` are dropped: they spell text that the user has typed already.

    >>> detokenizer = Detokenizer()
    >>> [detokenizer.feed(part) for part in ("é".encode()[:1], "é".encode()[1:] + b"x")]
    ['', 'éx']
    """

    def __init__(self, n_skipped_bytes: int = 0) -> None:
        self._decoder = _new_utf8_decoder(errors="ignore")
        self._n_to_skip = n_skipped_bytes
        self._is_between = True

    def feed(self, token_bytes: bytes) -> str:
        """The whole characters that these bytes complete."""
        if self._n_to_skip:
            n_skipped = min(self._n_to_skip, len(token_bytes))
            self._n_to_skip -= n_skipped
            token_bytes = token_bytes[n_skipped:]
        if self._is_between and token_bytes.isascii():
            return token_bytes.decode("ascii")
        text = self._decoder.decode(token_bytes)
        self._is_between = not self._decoder.getstate()[0]
        return text
