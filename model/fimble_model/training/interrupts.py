"""Being told to stop: a signal, or the end of the time that one call has.

Owns the flag. What is done about it is the loop's affair, which looks between two steps.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fimble_model.engine.protocol import Clock

__all__ = ["told_to_stop"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def told_to_stop(clock: Clock, *, after_s: float | None = None) -> Iterator[Callable[[], bool]]:
    """Whether to stop: after `after_s` seconds from now, or once SIGINT or SIGTERM has come.

    A second signal has its usual effect. Main thread only, for signals are Python's main thread's.
    """
    started_ms = clock.now_ms()
    usual = {each: signal.getsignal(each) for each in _SIGNALS}
    is_told = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_told
        is_told = True
        signal.signal(number, usual[signal.Signals(number)])

    def should_stop() -> bool:
        is_over = after_s is not None and clock.now_ms() - started_ms >= after_s * 1000
        return is_told or is_over

    for each in _SIGNALS:
        signal.signal(each, note)
    try:
        yield should_stop
    finally:
        for each in _SIGNALS:
            signal.signal(each, usual[each])
