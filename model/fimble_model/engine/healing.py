"""Token healing: taking back the word at the cursor, and what may be written in its place.

Owns the choice of the boundary, the sorted index over token bytes, and the plan by which
generation spells the text again. Pure: knows no torch, no rows and no formats.

The text `retu` is cut into tokens as if nothing followed, so a model sees something it never
saw in training, where `return` is one token. We end the prompt before the word and let the
model write the word again, allowing only what spells the text typed so far.

Not every way to spell it is one the tokenizer would choose, and a mask over single tokens
favours short pieces that lead nowhere. So a plan holds one chain, the tokenizer's own spelling,
and at each of its links the tokens that cover all that is left. The probabilities at the links
of a chain, computed in one pass, give the exact distribution over its ways (see `sampling`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.protocol import TokenId
from fimble_model.text.tokenizer import EncodedText, Tokenizer

__all__ = [
    "MAX_HEALING_CHARS",
    "HealedText",
    "HealingLink",
    "HealingPlan",
    "TokenIndex",
    "heal",
    "plan_healing",
]

# Guessed; measure. Long enough for a word or a deep indentation.
MAX_HEALING_CHARS = 40


class TokenIndex:
    """Plain tokens in the order of their bytes, so that a prefix's tokens lie side by side."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        ids = (index for index, written in enumerate(token_bytes) if written)
        self.sorted_ids = tuple(
            TokenId(index) for index in sorted(ids, key=token_bytes.__getitem__)
        )
        self._sorted_bytes = [token_bytes[index] for index in self.sorted_ids]

    def range_covering(self, start: bytes) -> range:
        """Indices into `sorted_ids` of all tokens whose bytes begin with `start`."""
        first = bisect_left(self._sorted_bytes, start)
        after_all = _try_successor(start)
        if after_all is None:
            return range(first, len(self._sorted_bytes))
        return range(first, bisect_left(self._sorted_bytes, after_all, lo=first))


def _try_successor(start: bytes) -> bytes | None:
    """The least bytes above everything that begins with `start`, if there are any."""
    trimmed = start.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingLink:
    """One place of the chain: the tokens that cover the rest, and the chain's own next token.

    `covering` indexes `TokenIndex.sorted_ids`. Where the chain ends short of the text, the last
    link has no `next_id`: only covering is left there.
    """

    covering: range
    next_id: TokenId | None
    next_is_covering: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingPlan:
    """How a text may be spelled: along `chain`, leaving it at any link by a covering token.

    Where the chain spells the whole text, its last token is a covering one, and after it
    anything may follow. Else there is one link more than chain tokens.
    """

    chain: tuple[TokenId, ...]
    links: tuple[HealingLink, ...]
    n_text_bytes: int

    @property
    def has_choice(self) -> bool:
        """False where the chain is the only way, so that healing would change nothing."""
        *inner, last = self.links
        n_own = 1 if last.next_is_covering else 0
        return any(link.covering for link in inner) or len(last.covering) > n_own


def plan_healing(text: str, tokenizer: Tokenizer, index: TokenIndex) -> HealingPlan:
    """The plan that spells `text`, which must not be empty."""
    written = text.encode()
    chain = _find_chain(text, tokenizer)
    links: list[HealingLink] = []
    n_spelled = 0
    for token_id in chain:
        rest = written[n_spelled:]
        n_spelled += len(tokenizer.token_bytes[token_id])
        link = HealingLink(
            covering=index.range_covering(rest),
            next_id=token_id,
            next_is_covering=n_spelled == len(written),
        )
        links.append(link)
    if n_spelled < len(written):
        links.append(HealingLink(covering=index.range_covering(written[n_spelled:]), next_id=None))
    return HealingPlan(chain=chain, links=tuple(links), n_text_bytes=len(written))


def _find_chain(text: str, tokenizer: Tokenizer) -> tuple[TokenId, ...]:
    """The tokens of `text`, except a last blank that would join the word typed next.

    Many tokenizers attach one blank to the word after it: of `x =    `, only the first three
    blanks stay a token when `y` is typed. A letter as a probe tells.
    """
    if not text.endswith((" ", "\t")):
        return tuple(tokenizer.encode_words_inside(text).token_ids)
    n_left = len(text.encode())
    chain: list[TokenId] = []
    for token_id in tokenizer.encode_words_inside(text + "a").token_ids:
        n_left -= len(tokenizer.token_bytes[token_id])
        if n_left < 0:
            break
        chain.append(token_id)
    return tuple(chain)


class HealedText(NamedTuple):
    """Token ids that stay as they are whatever follows, and the text taken back off the end."""

    token_ids: list[TokenId]
    healing_text: str


def heal(encoded: EncodedText, tokenizer: Tokenizer, index: TokenIndex) -> HealedText:
    """Take the last word back off an encoded text where more typing could change its tokens.

    At most `MAX_HEALING_CHARS` are taken: of a longer word only whole tokens at its end.
    """
    token_ids, n_taken = encoded
    while n_taken:
        taken = tokenizer.bytes_of(token_ids[-n_taken:])
        healing_text = taken.decode("utf-8", errors="replace")
        is_whole = healing_text.encode() == taken
        if is_whole and len(healing_text) <= MAX_HEALING_CHARS:
            break
        n_taken -= 1
    if not n_taken or not plan_healing(healing_text, tokenizer, index).has_choice:
        return HealedText(token_ids, "")
    return HealedText(token_ids[:-n_taken], healing_text)
