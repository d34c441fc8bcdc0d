"""What is remembered of one buffer of one client between its requests.

Owns answers that may be of use again, generations that run, and what was refused. It only ever
saves work: forgotten, the next request is answered as truly.
"""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field

from fimble_server.completion.answer import Answer, Hidden, Suggestion
from fimble_server.completion.engine_port import Generation
from fimble_server.completion.job_building import PromptDesk
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Limits
from fimble_server.completion.refusing import Refusal, is_refused, note_refusal
from fimble_server.completion.reuse import Remembered, try_reuse
from fimble_server.completion.snapshot import Snapshot
from fimble_server.completion.stream import Stream
from fimble_server.document.syntax import Parsed

__all__ = ["Owner"]

# Guessed: as far as one goes back while typing on.
_MAX_REMEMBERED = 4
_MAX_PREPARED = 2


@dataclass(slots=True, kw_only=True)
class Owner:
    """One buffer's memory. `number` is its newest request's.

    `streams` are its generations that run, `news` is what its newest request waits for. What
    was answered is `remembered`, what may be asked yet is `prepared`. `late` is a generation that
    ran out of time, `writing_on` what brings it to its end. `shown` is the text at which page's
    cursor.
    """

    without: Parts = NO_PARTS
    number: int = 0
    parsed: Parsed | None = None
    mending_timer: asyncio.TimerHandle | None = None
    desk: PromptDesk = field(default_factory=PromptDesk)
    limits: Limits | None = None
    remembered: tuple[Remembered, ...] = ()
    prepared: tuple[Remembered, ...] = ()
    streams: list[Stream] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    late: Stream | None = None
    writing_on: asyncio.Task[Generation | None] | None = None
    shown: tuple[Page, str] | None = None
    refusals: tuple[Refusal, ...] = ()

    def tell(self) -> None:
        """Wake whoever waits for this owner; the next one waits for the next news."""
        self.news.set()
        self.news = asyncio.Event()

    def forget_answers(self) -> None:
        """The dials have changed: nothing that was found under the old ones is of use."""
        self.remembered, self.prepared, self.shown = (), (), None
        self.drop_streams()

    def leave(self) -> None:
        """Nobody is here any more: end all that runs."""
        self.drop_streams()
        if self.mending_timer is not None:
            self.mending_timer.cancel()

    def drop_streams(self) -> None:
        """End every generation that runs."""
        for stream in self.streams:
            if stream.task is not None:
                stream.task.cancel()
        self.streams.clear()
        self.late = None

    def keep(self, entry: Remembered, *, is_prepared: bool) -> None:
        """An answer that may be of use again."""
        if is_prepared:
            self.prepared = (entry, *self.prepared)[:_MAX_PREPARED]
        else:
            self.remembered = (entry, *self.remembered)[:_MAX_REMEMBERED]

    def replace_answer(self, before: Answer, after: Answer) -> None:
        """The same answer, but fuller."""
        self.remembered = tuple(
            dataclasses.replace(each, answer=after) if each.answer is before else each
            for each in self.remembered
        )

    def try_reuse(self, snapshot: Snapshot, page: Page) -> Answer | None:
        """By what was answered, else by what was prepared: what is shown is never swapped."""
        if "reuse" in self.without:
            return None
        answer = try_reuse(self.remembered, page, snapshot)
        if answer is not None:
            return answer
        for entry in self.prepared:
            answer = try_reuse((entry,), page, snapshot)
            if answer is not None:
                self.prepared = tuple(each for each in self.prepared if each is not entry)
                self.keep(entry, is_prepared=False)
                return dataclasses.replace(answer, source="ahead")
        return None

    def find_stream(self, snapshot: Snapshot, page: Page) -> tuple[Stream | None, str]:
        """A running generation that may yet answer a request, and what was typed since."""
        for stream in self.streams if "join" not in self.without else ():
            typed = stream.find_typed(snapshot, page)
            if typed is not None and stream.agrees_with(typed):
                return stream, typed
        return None, ""

    def is_awaited(self, snapshot: Snapshot, page: Page) -> bool:
        """True where a request for this page would find its answer here, or on its way."""
        known = (*self.remembered, *self.prepared)
        is_known = try_reuse(known, page, snapshot) is not None
        return is_known or self.find_stream(snapshot, page)[0] is not None

    def note_page(self, page: Page) -> None:
        """The user is here now: was what is shown typed over?"""
        if self.shown is not None and "refusals" not in self.without:
            then, shown = self.shown
            self.refusals = note_refusal(self.refusals, then, shown, page)

    def note_shown(self, answer: Answer, page: Page) -> None:
        """An answer goes out."""
        self.shown = None
        if answer.suggestions:
            self.shown = (page, _text_at_cursor(answer.suggestions[0], page))

    def without_refused(self, answer: Answer, page: Page) -> Answer:
        """The answer without what was refused here, unless the user asks for it."""
        if answer.plan.rule == "invoked" or not self.refusals:
            return answer
        kept, hidden = [], list(answer.hidden)
        for suggestion in answer.suggestions:
            if is_refused(self.refusals, page, _text_at_cursor(suggestion, page)):
                hidden.append(
                    Hidden(text=suggestion.text, reason="refused here before", step="refusals")
                )
            else:
                kept.append(suggestion)
        return dataclasses.replace(answer, suggestions=tuple(kept), hidden=tuple(hidden))


def _text_at_cursor(suggestion: Suggestion, page: Page) -> str:
    """A suggestion as it stands at the page's cursor."""
    return with_line_feeds(suggestion.text).removeprefix(page.selected)
