"""One row's middle as it grows: tokens to characters, and where it ends.

Owns the text, its tokens, and the order in which the ends are checked: end token, stop rule,
length, giving up. Pure: knows neither tensors nor other rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from fimble_model.engine.giving_up import bounded_logprob, is_hopeless
from fimble_model.engine.protocol import FinishReason, GeneratedToken, StopRule, TokenId
from fimble_model.text.detokenizer import Detokenizer

__all__ = ["Middle"]


class Middle:
    """Keeps the invariant that `text` is what the tokens so far spell after the cursor.

    `n_healing_bytes` are skipped at the front: they spell the end of the user's prefix.
    """

    def __init__(
        self,
        *,
        token_bytes: Sequence[bytes],
        stop: StopRule,
        max_new_tokens: int,
        n_healing_bytes: int,
        min_confidence: float = 0.0,
    ) -> None:
        self.text = ""
        # Columns, for a token of a row is taken many thousand times a second.
        self._token_ids: list[TokenId] = []
        self._logprobs: list[float] = []
        self._char_ends: list[int] = []
        self._token_bytes = token_bytes
        self._stop = stop
        self._max_new_tokens = max_new_tokens
        self._min_confidence = min_confidence
        self._can_be_hopeless = min_confidence > 0.0
        self._sum_logprobs = 0.0
        self._detokenizer = Detokenizer(n_healing_bytes)
        self._n_sent_chars = 0

    @property
    def n_tokens(self) -> int:
        """Tokens that were generated."""
        return len(self._token_ids)

    @property
    def tokens(self) -> tuple[GeneratedToken, ...]:
        """Those tokens."""
        columns = zip(self._token_ids, self._logprobs, self._char_ends, strict=True)
        return tuple(
            GeneratedToken(token_id=token_id, logprob=logprob, char_end=char_end)
            for token_id, logprob, char_end in columns
        )

    def spell(self, token_id: TokenId) -> None:
        """Take a token that only spells text the user has typed; it is not a new token."""
        spelled = self._detokenizer.feed(self._token_bytes[token_id])
        assert not spelled, "a healing token reached past the healing text"

    def take(self, token_id: TokenId, logprob: float) -> FinishReason | None:
        """Add a generated token; the reason why the middle ends with it, or None.

        Raises what the stop rule raises, and `ValueError` where it keeps more than there is.
        """
        written = self._token_bytes[token_id] if token_id < len(self._token_bytes) else b""
        if not written:  # A control token, or an id without a token.
            return FinishReason.END_TOKEN
        return self.take_written(token_id, written, logprob)

    def take_written(
        self, token_id: TokenId, written: bytes, logprob: float
    ) -> FinishReason | None:
        """The same for a token whose bytes only the caller knows."""
        self.text += self._detokenizer.feed(written)
        self._token_ids.append(token_id)
        self._logprobs.append(logprob)
        self._char_ends.append(len(self.text))
        n_kept = self._stop.n_chars_to_keep(self.text)
        if n_kept is not None:
            if not 0 <= n_kept <= len(self.text):
                raise ValueError("a stop rule kept more characters than there are")
            self.text = self.text[:n_kept]
            return FinishReason.STOP_RULE
        if len(self._token_ids) >= self._max_new_tokens:
            return FinishReason.LENGTH
        if self._can_be_hopeless and self._is_hopeless(logprob):
            return FinishReason.GIVEN_UP
        return None

    def _is_hopeless(self, logprob: float) -> bool:
        self._sum_logprobs += bounded_logprob(logprob)
        return is_hopeless(sum_logprobs=self._sum_logprobs, min_confidence=self._min_confidence)

    def take_unsent(self) -> str:
        """Characters that came since the last call."""
        unsent = self.text[self._n_sent_chars :]
        self._n_sent_chars = len(self.text)
        return unsent
