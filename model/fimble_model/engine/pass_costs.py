"""How long a pass of the network takes by the number of its tokens, as measured while it runs.

Owns the measured line, what a guess costs, and what follows from both: how many of a prompt's
tokens may ride beside rows that decode, and whether a drafted token is worth its place. Pure:
handed milliseconds.
"""

from __future__ import annotations

__all__ = ["PassCosts"]

# What is believed before anything is measured, as if so many passes had been seen. Guessed.
_PRIOR_BASE_MS, _PRIOR_TOKEN_MS, _PRIOR_WEIGHT = 1.0, 0.1, 2.0
# Older passes count less: the half is forgotten in about this many.
_KEPT = 0.5 ** (1 / 64)
_LEAST_BESIDE_TOKENS = 8
# Measured: 1.7 microseconds on a Zen 3 at 1024 tokens.
_INDEX_TOKEN_MS = 0.002
# A pass that took this many times as long as foreseen was interrupted, and says little.
_MOST_SURPRISE = 4.0


class PassCosts:
    """The line `base_ms + token_ms * n_tokens`, fitted by least squares with forgetting.

    Keeps the invariant that both numbers are positive.
    """

    def __init__(self) -> None:
        self.base_ms = _PRIOR_BASE_MS
        self.token_ms = _PRIOR_TOKEN_MS
        self.guess_ms = 0.0
        self._step_ms = 0.0
        # Sums over passes of weight, n, n^2, ms and n * ms; the prior is two passes on its line.
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        for n_tokens in (1, 64):
            ms = _PRIOR_BASE_MS + _PRIOR_TOKEN_MS * n_tokens
            self._add(n_tokens, ms, _PRIOR_WEIGHT / 2)

    def estimate_ms(self, n_tokens: int) -> float:
        """How long a pass of so many tokens takes."""
        return self.base_ms + self.token_ms * n_tokens

    @property
    def n_most_indexed(self) -> int:
        """How many tokens a row may index for its drafts, in a quarter of a pass's time."""
        return int(self.estimate_ms(1) / 4 / _INDEX_TOKEN_MS)

    def note(self, n_tokens: int, ms: float) -> None:
        """Learn from a pass. One without any time, as on a clock that stands, teaches nothing."""
        if ms <= 0.0:
            return
        self._add(n_tokens, min(ms, _MOST_SURPRISE * self.estimate_ms(n_tokens)), 1.0, _KEPT)
        weight, n, nn, t, nt = self._sums
        spread = nn - n * n / weight
        slope = (nt - n * t / weight) / spread if spread > weight else self.token_ms
        slope = min(max(slope, 1e-6), 0.9 * t / n)
        self.token_ms = slope
        self.base_ms = (t - slope * n) / weight

    def note_guesses(self, n_guesses: int, ms: float) -> None:
        """Learn what guessing a token costs."""
        if n_guesses and ms > 0.0:
            self.guess_ms += (1.0 - _KEPT) * (ms / n_guesses - self.guess_ms)

    def note_step(self, ms: float) -> None:
        """Learn what a step costs beside its pass and its guesses: planning and bookkeeping."""
        self._step_ms += (1.0 - _KEPT) * (ms - self._step_ms)

    def n_tokens_beside(self, n_decoding_rows: int) -> int:
        """How many tokens of prompts may ride beside rows that decode.

        As many as take as long as the rows' own pass: another's prompt makes a stream at most
        half as fast, and the prompt has half the engine's time.
        """
        n_tokens = int(self.base_ms / self.token_ms) + n_decoding_rows
        return max(n_tokens, _LEAST_BESIDE_TOKENS)

    def least_useful_probability(self, n_rows: int) -> float:
        """How sure a drafted token must be to be worth its place in a pass of `n_rows` rows.

        It costs the guess and `token_ms` whether it is right or not. If it is right, it saves
        its row a step: the token's own time and the row's part of what a step and its pass cost
        whatever is in them, which the rows share.
        """
        token_ms = self.token_ms + self.guess_ms
        return token_ms / ((self.base_ms + self._step_ms) / max(n_rows, 1) + token_ms)

    def _add(self, n_tokens: int, ms: float, weight: float, kept: float = 1.0) -> None:
        all_weight, n, nn, t, nt = self._sums
        self._sums = (
            kept * all_weight + weight,
            kept * n + weight * n_tokens,
            kept * nn + weight * n_tokens * n_tokens,
            kept * t + weight * ms,
            kept * nt + weight * n_tokens * ms,
        )
