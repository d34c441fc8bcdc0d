"""Time that stands still until a test moves it."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """Implements `Clock`. `ms_per_look` passes at each look, for code that waits for time."""

    def __init__(self, *, now_ms: float = 0.0, ms_per_look: float = 0.0) -> None:
        self._now_ms = now_ms
        self._ms_per_look = ms_per_look

    def now_ms(self) -> float:
        """The time that the test has set."""
        self._now_ms += self._ms_per_look
        return self._now_ms

    def advance(self, by_ms: float) -> None:
        """Let time pass."""
        self._now_ms += by_ms
