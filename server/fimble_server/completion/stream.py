"""A generation on its way, and whether what is typed meanwhile agrees with it.

Owns the test for that, and the value of such a generation. Starts and ends nothing itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fimble_model.engine.protocol import Finish
from fimble_server.completion.answer import Answer
from fimble_server.completion.left_out import LeftOut
from fimble_server.completion.overlap import CLOSERS
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Plan
from fimble_server.completion.snapshot import Snapshot
from fimble_server.completion.surrounding import Surrounded

__all__ = ["Stream", "agrees", "find_typed"]


@dataclass(slots=True, eq=False, kw_only=True)
class Stream:
    """One job for one page. `texts` are its rows' so far; `answer` is there once it has ended;
    `surrounded` is what the prompt showed besides the page, `left_out` what it had no room for.

    `is_ahead` where nobody asked for its page yet. `error` is why it has no answer; where it has
    ended with neither, a newer job replaced it.
    """

    snapshot: Snapshot = field(repr=False)
    page: Page = field(repr=False)
    plan: Plan
    is_ahead: bool
    texts: tuple[str, ...] = field(default=(), repr=False)
    task: asyncio.Task[object] | None = None
    has_ended: bool = False
    finishes: tuple[Finish, ...] = field(default=(), repr=False)
    surrounded: Surrounded | None = field(default=None, repr=False)
    left_out: LeftOut = field(default_factory=LeftOut)
    answer: Answer | None = field(default=None, repr=False)
    error: BaseException | None = None

    def find_typed(self, snapshot: Snapshot, page: Page) -> str | None:
        """What was typed since, where its answer may be the one to a request that comes now."""
        is_as_wide = snapshot.n_candidates <= self.snapshot.n_candidates
        if snapshot.trigger is not self.snapshot.trigger or not is_as_wide:
            return None
        return "" if page is self.page else find_typed(self.page, page)

    def agrees_with(self, typed: str) -> bool:
        """True while what is typed and what is written so far may become the same."""
        return agrees(self.texts[0] if self.texts else "", typed)


def find_typed(then: Page, now: Page) -> str | None:
    """What was typed at the cursor, where that is all that was done; else None.

    Closers that an editor put behind the cursor by itself count as nothing done.
    """
    if then.selected or now.selected:
        is_same = (then.text, then.cursor, then.selected) == (now.text, now.cursor, now.selected)
        return "" if is_same else None
    origin, tail = then.cursor, now.text[now.cursor :]
    n_closers = len(tail) - (len(then.text) - origin)
    if now.cursor < origin or n_closers < 0:
        return None
    if any(sign not in CLOSERS for sign in tail[:n_closers]):
        return None
    if now.text[:origin] != then.text[:origin] or tail[n_closers:] != then.text[origin:]:
        return None
    return now.text[origin : now.cursor]


def agrees(written: str, typed: str) -> bool:
    """True where one of the two is a beginning of the other."""
    return written.startswith(typed) or typed.startswith(written)
