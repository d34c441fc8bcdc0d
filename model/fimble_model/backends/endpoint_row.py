"""One row that a server writes: its middle, its times, and the control strings in its text.

Owns a row's bookkeeping. Sends nothing and reads no clock.
"""

from __future__ import annotations

import re

from fimble_model.backends.endpoint_codec import control_strings
from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import Delta, Finish, FinishReason, Request, TokenId

__all__ = ["EndpointRow"]

_CONTROLS = sorted(control_strings(), key=len, reverse=True)
_CONTROL = re.compile("|".join(map(re.escape, _CONTROLS)))
_MOST_CONTROL_CHARS = len(_CONTROLS[0])
# The ids of what a server writes are not known; any will do.
_SOME_TOKEN = TokenId(0)


class EndpointRow:
    """Keeps the invariant that no part of a control string reaches the middle."""

    def __init__(self, request: Request, added_ms: float) -> None:
        self.request = request
        self.middle = Middle(
            token_bytes=(),
            stop=request.stop,
            max_new_tokens=request.max_new_tokens,
            n_healing_bytes=0,
            min_confidence=request.min_confidence,
        )
        self.added_ms = added_ms
        self.started_ms: float | None = None
        self.first_ms: float | None = None
        self._held = ""

    def take(self, text: str, logprob: float | None) -> FinishReason | None:
        """New text; why the row ends with it, or None. Raises what the stop rule raises.

        Where the server tells no probabilities, what it writes counts as sure.
        """
        text = self._held + text
        found = _CONTROL.search(text)
        n_kept = found.start() if found else len(text) - _n_to_hold(text)
        self._held = "" if found else text[n_kept:]
        reason = self._write(text[:n_kept], logprob)
        return reason or (FinishReason.END_TOKEN if found else None)

    def take_rest(self) -> FinishReason | None:
        """The server is done: what looked like a control string's beginning was none."""
        held, self._held = self._held, ""
        return self._write(held, None)

    def progress(self) -> Delta | None:
        """New text, if any."""
        text = self.middle.take_unsent()
        return Delta(request_id=self.request.request_id, text=text) if text else None

    def finish(self, reason: FinishReason, now_ms: float) -> Delta:
        """The row's last delta."""
        started_ms = now_ms if self.started_ms is None else self.started_ms
        first_ms = now_ms if self.first_ms is None else self.first_ms
        n_prompt_tokens = len(self.request.prompt.token_ids)
        finish = Finish(
            reason=reason,
            text=self.middle.text,
            tokens=self.middle.tokens,
            n_prompt_tokens=n_prompt_tokens,
            n_reused_tokens=0,
            queue_ms=started_ms - self.added_ms,
            prefill_ms=first_ms - started_ms,
            decode_ms=now_ms - first_ms,
            n_prefilled_tokens=n_prompt_tokens if self.started_ms is not None else 0,
            n_passes=self.middle.n_tokens,
        )
        return Delta(
            request_id=self.request.request_id, text=self.middle.take_unsent(), finish=finish
        )

    def _write(self, text: str, logprob: float | None) -> FinishReason | None:
        if not text:
            return None
        return self.middle.take_written(
            _SOME_TOKEN, text.encode("utf-8", errors="ignore"), logprob or 0.0
        )


def _n_to_hold(text: str) -> int:
    """Characters at the end with which a control string may begin."""
    for n_chars in range(min(len(text), _MOST_CONTROL_CHARS), 0, -1):
        if any(control.startswith(text[-n_chars:]) for control in _CONTROLS):
            return n_chars
    return 0
