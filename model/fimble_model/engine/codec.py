"""The engine's text codec: tokenizer, fill-in-the-middle format and token healing in one.

Owns the assembly of a prompt's ids. Never decides what text goes into a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from fimble_model.engine.healing import TokenIndex, heal
from fimble_model.engine.memory_index import MOST_ORDER
from fimble_model.engine.protocol import Prompt, TokenId
from fimble_model.text.fim_format import FimFormat, Hole
from fimble_model.text.growing_text import GrowingText
from fimble_model.text.tokenizer import Tokenizer

__all__ = ["FimCodec"]


class FimCodec:
    """Implements `TextCodec`.

    Remembers the last prompt's ids: while the user types, the suffix stays and the prefix grows.
    """

    def __init__(self, tokenizer: Tokenizer, fim_format: FimFormat) -> None:
        self.tokenizer = tokenizer
        self.fim_format = fim_format
        self._prefix = GrowingText(tokenizer)
        self._last_suffix: tuple[str, list[TokenId]] = ("", [])

    @cached_property
    def token_index(self) -> TokenIndex:
        """Built on first use: sorting a large vocabulary takes a tenth of a second."""
        return TokenIndex(self.tokenizer.token_bytes)

    def encode(self, text: str) -> list[TokenId]:
        """Token ids of plain text; it never becomes a control token."""
        return self.tokenizer.encode(text)

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """Text of token ids; control tokens are left out."""
        return self.tokenizer.decode(token_ids)

    def encode_fim(self, *, prefix: str, suffix: str) -> Prompt:
        """The prompt in the model's preferred order, with the word at the cursor taken back."""
        encoded = self._prefix.encode_words(prefix)
        healed = heal(encoded, self.tokenizer, self.token_index)
        token_ids: list[TokenId] = []
        for part in self.fim_format.layout:
            if part is Hole.PREFIX:
                token_ids += healed.token_ids
            elif part is Hole.SUFFIX:
                token_ids += self._encode_suffix(suffix)
            else:
                token_ids.append(self.tokenizer.control_ids[part])
        return Prompt(
            token_ids=tuple(token_ids),
            healing_text=healed.healing_text,
            context_ids=tuple(healed.token_ids[-MOST_ORDER:]),
        )

    def _encode_suffix(self, suffix: str) -> list[TokenId]:
        known_text, token_ids = self._last_suffix
        if suffix != known_text:
            token_ids = self.tokenizer.encode(suffix)
            self._last_suffix = (suffix, token_ids)
        return token_ids
