"""What of a file's tree no key had time for, done while nobody types.

Owns when that begins and how much of it runs at a time. Runs on the event loop, a few milliseconds
at once, so that it never stands in a key's way.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from fimble_server.document.parsed import Parsed, mend

__all__ = ["SLICE_BUDGET_MS", "MendsWhileIdle", "is_worth_mending", "mend_while_idle"]

SLICE_BUDGET_MS = 2.0
_LEAST_PAUSE_S = 0.12  # guessed: longer than between the keys of a word
_GAP_S = 0.004
# A tree that is some edits old is whole but at the cursor, where the text is read anyway.
_LEAST_AGE_EDITS = 8


class MendsWhileIdle(Protocol):
    """Holds the newest text's tree, and the timer of the work on it."""

    parsed: Parsed | None
    mending_timer: asyncio.TimerHandle | None


def is_worth_mending(parsed: Parsed) -> bool:
    """True where work is left on a tree that is missing, or some edits old."""
    is_old = parsed.tree is None or parsed.age_edits >= _LEAST_AGE_EDITS
    return parsed.mending is not None and is_old


def mend_while_idle(owner: MendsWhileIdle) -> None:
    """Begin in a moment, unless this is called again before: then the clock starts anew."""
    loop = asyncio.get_running_loop()
    if owner.mending_timer is not None:
        owner.mending_timer.cancel()
        owner.mending_timer = None
    if owner.parsed is None or not is_worth_mending(owner.parsed):
        return

    def go_on() -> None:
        owner.mending_timer = None
        if owner.parsed is not None:
            owner.parsed = mend(owner.parsed, SLICE_BUDGET_MS)
            if owner.parsed.mending is not None:
                owner.mending_timer = loop.call_later(_GAP_S, go_on)

    owner.mending_timer = loop.call_later(_LEAST_PAUSE_S, go_on)
