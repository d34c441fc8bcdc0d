"""The path of one request: reuse, mode, prompt, engine, post-processing, answer.

Owns the owners, and when a generation begins and ends. Never tokenizes, reads a disk or knows
LSP: what is slow is done where the engine runs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections import OrderedDict
from collections.abc import Callable

from fimble_model.engine.protocol import Clock
from fimble_server.completion.ahead import (
    StopAfterHead,
    join_halves,
    page_after_head,
    snapshot_after_taking,
    try_lengthen,
)
from fimble_server.completion.answer import Answer, Suggestion
from fimble_server.completion.answering import (
    answer_by_stream,
    answer_of,
    empty_answer,
    has_run_out_of_time,
    is_worth_remembering,
)
from fimble_server.completion.engine_port import EnginePort, Generation
from fimble_server.completion.idle_mending import mend_while_idle
from fimble_server.completion.job_building import job_for
from fimble_server.completion.left_out import LeftOut
from fimble_server.completion.mode import decide
from fimble_server.completion.owner import Owner
from fimble_server.completion.page import Page, page_of
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Limits, Plan, plan_completion
from fimble_server.completion.reuse import remember
from fimble_server.completion.signals import gather_signals
from fimble_server.completion.snapshot import Snapshot
from fimble_server.completion.stream import Stream
from fimble_server.completion.surrounding import Surrounded
from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import FIRST_BUDGET_MS
from fimble_server.document.syntax import inspect, parse

__all__ = ["Completer", "OnMore"]

OnMore = Callable[[Answer], None]

# Guessed: more buffers than anyone types in at a time.
_MAX_OWNERS = 32
# Editors cancel a request and ask again with the next key in it. Guessed: within this time.
_GRACE_S = 0.15


class Completer:
    """Answers snapshots. Called on one event loop only.

    Keeps the invariants that an owner's memory only ever saves work (with it forgotten, every
    request gets an answer from the model that is as true to the text), and that of an owner at
    most one generation runs that somebody asked for. While what is typed agrees with it, it
    goes on for the newer request.

    Where it `looks_ahead`, it asks, while nobody waits, what would be asked if a suggestion were
    taken, and has a suggestion that ran out of time written to its end.
    """

    def __init__(
        self,
        *,
        port: EnginePort,
        clock: Clock,
        looks_ahead: bool = False,
        without: Parts = NO_PARTS,
    ) -> None:
        self._port = port
        self._without = without
        self._clock = clock
        self._looks_ahead = looks_ahead and "ahead" not in without
        self._owners: OrderedDict[str, Owner] = OrderedDict()
        self._numbers = itertools.count(1)
        self._suggestion_numbers = itertools.count(1)

    async def complete(
        self, snapshot: Snapshot, limits: Limits, on_more: OnMore | None = None
    ) -> Answer | None:
        """The answer to one request; None when a newer one of its owner replaced it.

        An answer that ran out of time may be followed by a fuller one of the same suggestion,
        which is handed to `on_more`. Raises `FimbleError` where the model could not be loaded
        or refused the request. Cancelled, its generation goes on for a moment, for editors
        cancel a request before they ask again with another key in it.
        """
        started_ms = self._clock.now_ms()
        owner = self._owner_of(snapshot, limits)
        owner.number = number = next(self._numbers)
        owner.tell()
        page = page_of(snapshot)
        owner.note_page(page)
        try:
            answer = await self._answer(snapshot, limits, page, owner)
        except asyncio.CancelledError:
            self._leave(owner, number)
            raise
        if answer is None or owner.number != number:
            return None
        total_ms = self._clock.now_ms() - started_ms
        answer = dataclasses.replace(
            answer, timing=dataclasses.replace(answer.timing, total_ms=total_ms)
        )
        self._go_on(answer, snapshot, limits, page, owner, on_more)
        return answer

    def forget(self, owner: str) -> None:
        """A buffer was closed."""
        forgotten = self._owners.pop(owner, None)
        if forgotten is not None:
            self._forget(forgotten)

    def _forget(self, owner: Owner) -> None:
        owner.number = next(self._numbers)
        owner.leave()
        owner.tell()

    def _owner_of(self, snapshot: Snapshot, limits: Limits) -> Owner:
        owner = self._owners.setdefault(snapshot.owner, Owner(without=self._without))
        self._owners.move_to_end(snapshot.owner)
        while len(self._owners) > _MAX_OWNERS:
            self._forget(self._owners.popitem(last=False)[1])
        if owner.limits != limits:
            owner.limits = limits
            owner.forget_answers()
        return owner

    async def _answer(
        self, snapshot: Snapshot, limits: Limits, page: Page, owner: Owner
    ) -> Answer | None:
        """By what is remembered, by a generation that runs, or by a new one."""
        number, joined = owner.number, None
        while owner.number == number:
            reused = owner.try_reuse(snapshot, page)
            if reused is not None:
                found = reused if joined is None else answer_by_stream(reused, joined)
                return owner.without_refused(found, page)
            stream, typed = owner.find_stream(snapshot, page)
            if stream is None:
                plan = self._plan(snapshot, limits, page, owner)
                if not plan.wanted:
                    return empty_answer(plan, self._port.model)
                owner.drop_streams()
                stream = self._start(snapshot, page, plan, owner)
            while owner.number == number and not stream.has_ended and stream.agrees_with(typed):
                await owner.news.wait()
            joined = stream
            if stream.has_ended and stream.page is page:
                if stream.error is not None:
                    raise stream.error
                answer = stream.answer
                return None if answer is None else owner.without_refused(answer, page)
        return None

    def _start(
        self,
        snapshot: Snapshot,
        page: Page,
        plan: Plan,
        owner: Owner,
        *,
        is_ahead: bool = False,
    ) -> Stream:
        stream = Stream(snapshot=snapshot, page=page, plan=plan, is_ahead=is_ahead)

        def take_progress(texts: tuple[str, ...]) -> None:
            stream.texts = texts
            owner.tell()

        def take_shown(surrounded: Surrounded | None, left_out: LeftOut) -> None:
            stream.surrounded, stream.left_out = surrounded, left_out

        job = job_for(
            snapshot,
            page,
            plan,
            owner.desk,
            is_ahead=is_ahead,
            on_shown=take_shown,
        )
        job = dataclasses.replace(job, on_progress=take_progress)
        task = asyncio.get_running_loop().create_task(self._port.generate(job))
        stream.task = task
        task.add_done_callback(lambda done: self._end(stream, done, owner))
        owner.streams.append(stream)
        return stream

    def _end(self, stream: Stream, done: asyncio.Task[Generation | None], owner: Owner) -> None:
        """A generation has ended, one way or another: keep what it gave."""
        stream.has_ended = True
        if stream in owner.streams:
            owner.streams.remove(stream)
        if done.cancelled():
            pass
        elif (error := done.exception()) is not None:
            stream.error = error
        elif (generation := done.result()) is not None:
            self._take(stream, generation, owner)
        owner.tell()

    def _take(self, stream: Stream, generation: Generation, owner: Owner) -> None:
        try:
            answer = self._answer_of(generation, stream)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, who has a wall
            stream.error = error
            return
        stream.answer = answer
        stream.finishes = generation.finishes
        if is_worth_remembering(answer, generation):
            entry = remember(answer, stream.page, stream.snapshot)
            owner.keep(entry, is_prepared=stream.is_ahead)
        if not stream.is_ahead and has_run_out_of_time(generation):
            owner.late = stream

    def _leave(self, owner: Owner, number: int) -> None:
        """A request was cancelled: give the next one a moment to go on with its generation."""

        def drop() -> None:
            if owner.number == number:
                owner.drop_streams()

        if owner.number == number:
            asyncio.get_running_loop().call_later(_GRACE_S, drop)

    def _go_on(
        self,
        answer: Answer,
        snapshot: Snapshot,
        limits: Limits,
        page: Page,
        owner: Owner,
        on_more: OnMore | None,
    ) -> None:
        """What can be done while the user looks at an answer."""
        owner.note_shown(answer, page)
        if not self._looks_ahead or owner.shown is None:
            return
        if owner.late is not None:
            late, owner.late = owner.late, None
            self._write_on(late, limits, owner, on_more)
        else:
            self._ask_ahead(answer.suggestions[0], snapshot, limits, owner)

    def _ask_ahead(
        self, taken: Suggestion, snapshot: Snapshot, limits: Limits, owner: Owner
    ) -> None:
        """Ask what would be asked if a suggestion were taken."""
        after = snapshot_after_taking(snapshot, taken, self._clock.now_ms())
        page = page_of(after)
        if owner.is_awaited(after, page):
            return
        plan = self._plan(after, limits, page, owner)
        if plan.wanted:
            self._start(after, page, plan, owner, is_ahead=True)

    def _write_on(self, late: Stream, limits: Limits, owner: Owner, on_more: OnMore | None) -> None:
        """Have a suggestion that ran out of time written to its end, while nobody waits."""
        page = page_after_head(late.page, late.finishes[0].text)
        plan = dataclasses.replace(
            late.plan,
            stop=StopAfterHead(head=late.finishes[0].text, stop=late.plan.stop),
            deadline_ms=limits.exploration_deadline_ms,
        )
        job = job_for(late.snapshot, page, plan, owner.desk, is_ahead=True)
        task = asyncio.get_running_loop().create_task(self._port.generate(job))
        owner.writing_on = task

        def take(done: asyncio.Task[Generation | None]) -> None:
            generation = None if done.cancelled() or done.exception() else done.result()
            if generation is not None and owner.writing_on is done:
                self._take_more(late, generation, owner, on_more)

        task.add_done_callback(take)

    def _take_more(
        self, late: Stream, generation: Generation, owner: Owner, on_more: OnMore | None
    ) -> None:
        """A fuller answer takes the place of the one it extends, and of no other."""
        before = late.answer
        whole = join_halves(late.finishes[0], generation.finishes[0])
        full = self._answer_of(Generation(finishes=(whole,), model=generation.model), late)
        fuller = None if before is None else try_lengthen(before, full)
        if before is None or fuller is None:
            return
        owner.replace_answer(before, fuller)
        if on_more is not None:
            on_more(fuller)

    def _plan(self, snapshot: Snapshot, limits: Limits, page: Page, owner: Owner) -> Plan:
        language = language_for_id(snapshot.buffer.language_id)
        owner.parsed = parse(language, page.text, owner.parsed, first_budget_ms=FIRST_BUDGET_MS)
        mend_while_idle(owner)
        facts = inspect(owner.parsed, page.cursor)
        signals = gather_signals(
            facts,
            trigger=snapshot.trigger,
            history=snapshot.history,
            cursor=snapshot.cursor,
            now_ms=self._clock.now_ms(),
            has_selection=bool(page.selected),
        )
        return plan_completion(decide(signals), facts, limits, snapshot.n_candidates)

    def _answer_of(self, generation: Generation, stream: Stream) -> Answer:
        return answer_of(
            generation,
            stream,
            without=self._without,
            new_id=lambda: f"s{next(self._suggestion_numbers)}",
        )
