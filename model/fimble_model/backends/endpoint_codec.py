"""Prompts for a server whose tokenizer is not here.

Owns a stand-in for tokens: three characters side by side in one number, about what a token of
code holds. So budgets in tokens mean what they should, and text comes back unchanged. What user
text holds of control strings is broken up, because the server reads them wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fimble_model.engine.protocol import Prompt, Surroundings, TokenId
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat, Hole, Text

__all__ = ["EndpointCodec", "PromptText", "break_controls", "control_strings"]

_CHARS_A_TOKEN = 3
_BITS_A_CHAR = 21
_SUFFIX_MARK = TokenId(-1)
# What other vocabularies write their control tokens like.
_LOOKS_LIKE_CONTROL = re.compile(r"<(?=[|\uff5c][^<>\s]{1,40}[|\uff5c]>)")


class PromptText(NamedTuple):
    """What goes over the wire: with a `suffix`, the server writes the format itself."""

    prompt: str
    suffix: str | None


def control_strings() -> frozenset[str]:
    """Every control token of the families that we know."""
    return frozenset(word for family in FAMILIES for word in family.control_strings())


_CONTROLS = re.compile("|".join(re.escape(w) for w in sorted(control_strings(), key=len)[::-1]))


def break_controls(text: str) -> str:
    """The text with a blank inside whatever a server could take for a control token.

    >>> break_controls("a <|fim_middle|> b")
    'a < |fim_middle|> b'
    """
    text = _CONTROLS.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
    return _LOOKS_LIKE_CONTROL.sub("< ", text)


class EndpointCodec:
    """Implements `TextCodec`. `fim_format` is None where the server writes the format."""

    def __init__(self, fim_format: FimFormat | None) -> None:
        self.fim_format = fim_format

    @property
    def shows_files(self) -> bool:
        """Other files are not shown: no budget of theirs could be kept in real tokens."""
        return False

    def encode(self, text: str) -> list[TokenId]:
        """Three characters a token."""
        return [
            TokenId(_pack(text[start : start + _CHARS_A_TOKEN]))
            for start in range(0, len(text), _CHARS_A_TOKEN)
        ]

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """The characters again."""
        return "".join(_unpack(token_id) for token_id in token_ids if token_id >= 0)

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        """Prefix, a mark, suffix. Nothing is healed: that takes the server's vocabulary."""
        del surroundings
        return Prompt(token_ids=(*self.encode(prefix), _SUFFIX_MARK, *self.encode(suffix)))

    def to_text(self, prompt: Prompt) -> PromptText:
        """The prompt as the server is to be asked."""
        at = prompt.token_ids.index(_SUFFIX_MARK)
        prefix = break_controls(self.decode(prompt.token_ids[:at]))
        suffix = break_controls(self.decode(prompt.token_ids[at:]))
        if self.fim_format is None:
            return PromptText(prefix, suffix)
        words = {Hole.PREFIX: prefix, Hole.SUFFIX: suffix}
        if self.fim_format.prefix_blank and prefix:
            words[Hole.PREFIX] = " " + prefix
        parts = []
        for part in self.fim_format.layout:
            if isinstance(part, Hole):
                parts.append(words[part])
            else:
                parts.append(part.text if isinstance(part, Text) else part)
        return PromptText("".join(parts), None)


def _pack(chars: str) -> int:
    """Code points from the lowest bits up, each plus one: so NUL is not nothing."""
    return sum((ord(char) + 1) << (_BITS_A_CHAR * index) for index, char in enumerate(chars))


def _unpack(token_id: int) -> str:
    chars = []
    while token_id:
        chars.append(chr((token_id & (2**_BITS_A_CHAR - 1)) - 1))
        token_id >>= _BITS_A_CHAR
    return "".join(chars)
