"""One place of a file typed through the completer, key by key, as a person would.

Owns the course of a replay: when a key comes, when the person looks, what is asked. What is
asked goes the editors' way: buffers, history and snapshots are the server's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fimble_eval.replay.person import Person, Taken, take
from fimble_eval.replay.places import Place, SourceFile
from fimble_eval.replay.projects import Projects
from fimble_eval.replay.samples import Sample, sample_of
from fimble_eval.replay.screen import Screen, Showing
from fimble_eval.replay.simulation import SimulatedClock, SimulatedPort, work_until
from fimble_server.completion.answer import Answer
from fimble_server.completion.completer import Completer
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits
from fimble_server.completion.snapshot import Snapshot
from fimble_server.context.sources import Sources
from fimble_server.document.buffers import Buffer, TextEdit
from fimble_server.document.history import VerdictKind
from fimble_server.document.positions import CharOffset
from fimble_server.lsp.attention import last_edited
from fimble_server.lsp.open_buffers import OpenBuffers

__all__ = ["Asked", "Desk", "Typed", "type_place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a replay works with. `memory_scope` is None where nothing is to be remembered.

    `on_generation` hears of what the model wrote for each answer that it gave.
    """

    completer: Completer
    port: SimulatedPort
    clock: SimulatedClock
    person: Person
    limits: Limits
    memory_scope: str | None = "replay"
    without_sources: Sources = frozenset()
    has_pieces: bool = True
    projects: Projects | None = None
    on_generation: Callable[[Sample], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: what it took this machine, of that its processor's time, and in simulation.

    `answer` is None where the next key came first or nothing could be said any more.
    """

    answer: Answer | None = field(repr=False)
    wall_ms: float
    cpu_ms: float
    wait_ms: float
    is_after_take: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What came of typing one place."""

    place: Place = field(repr=False)
    n_chars: int
    n_keys: int
    showings: tuple[Showing, ...]
    asked: tuple[Asked, ...]
    n_swaps: int
    n_vanished: int
    simulated_ms: float


async def type_place(place: Place, neighbours: Sequence[SourceFile], desk: Desk) -> Typed:
    """Type a place from its first character to its last, with other files open beside it."""
    return await _Typing(place, neighbours, desk).run()


class _Typing:
    """Keeps the invariant that the buffer up to the cursor is what the file says."""

    def __init__(self, place: Place, neighbours: Sequence[SourceFile], desk: Desk) -> None:
        self._place, self._desk = place, desk
        self._text = place.file.text
        self._offset = place.spot.start
        self._end = place.spot.start + len(place.spot.text)
        self._uri = self._uri_of(place.file)
        self._buffers = OpenBuffers()
        for source in neighbours:
            self._open(source, source.text)
        below = "" if place.is_at_end else self._text[self._end :]
        self._open(place.file, self._text[: self._offset] + below)
        self._screen = Screen()
        self._asked: list[Asked] = []
        self._unanswered: list[asyncio.Task[Answer | None]] = []
        self._n_keys = self._version = 0

    async def run(self) -> Typed:
        """The whole place."""
        started_ms = self._desk.clock.now_ms()
        while self._offset < self._end:
            self._press_key()
            await self._look(is_after_take=False)
        self._screen.clear()
        await self._leave()
        return Typed(
            place=self._place,
            n_chars=len(self._place.spot.text),
            n_keys=self._n_keys,
            showings=tuple(self._screen.ended),
            asked=tuple(self._asked),
            n_swaps=self._screen.n_swaps,
            n_vanished=self._screen.n_vanished,
            simulated_ms=self._desk.clock.now_ms() - started_ms,
        )

    @property
    def _owner(self) -> str:
        return f"replay {self._place.name}"

    def _open(self, source: SourceFile, text: str) -> None:
        self._buffers.open(
            Buffer(uri=self._uri_of(source), language_id=source.language_id, version=0, text=text)
        )

    def _uri_of(self, source: SourceFile) -> str:
        projects = self._desk.projects
        return f"file:///{source.name}" if projects is None else projects.uri_of(source)

    def _press_key(self) -> None:
        """The next key. Enter brings its indentation along, as editors do."""
        end = self._offset + 1
        if self._text[self._offset] == "\n" or self._is_indenting():
            while end < self._end and self._text[end] in " \t":
                end += 1
        inserted = self._text[self._offset : end]
        self._insert(inserted)
        self._screen.type(inserted)
        self._n_keys += 1

    def _is_indenting(self) -> bool:
        line_start = self._text.rfind("\n", 0, self._offset) + 1
        return self._text[line_start : self._offset + 1].strip() == ""

    def _insert(self, inserted: str) -> None:
        self._version += 1
        edit = TextEdit(start=self._offset, end=self._offset, text=inserted)
        self._buffers.change(
            self._uri, [edit], version=self._version, now_ms=self._desk.clock.now_ms()
        )
        self._offset += len(inserted)

    async def _look(self, *, is_after_take: bool) -> None:
        """Ask, and look at what comes before the next key is due; take it, or type on."""
        if self._offset >= self._end:
            return
        clock, person = self._desk.clock, self._desk.person
        next_key_ms = clock.now_ms() + person.gap_ms(self._text, self._offset, self._place.name)
        is_new = await self._ask(next_key_ms, is_after_take=is_after_take)
        showing = self._screen.now
        if showing is not None and (is_new or is_after_take):
            await self._work_until(clock.now_ms() + person.look_ms(showing.rest))
            truth = self._text[self._offset : self._end]
            taken = take(showing.rest, truth, person.policy)
            if taken.n_chars:
                self._take(showing, taken)
                await self._look(is_after_take=True)
                return
        await self._work_until(next_key_ms)

    async def _ask(self, next_key_ms: float, *, is_after_take: bool) -> bool:
        """Ask for the text as it is. True where something new came before the next key."""
        clock, started_ms = self._desk.clock, self._desk.clock.now_ms()
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        task: asyncio.Task[Answer | None] = asyncio.create_task(
            self._desk.completer.complete(self._snapshot(), self._desk.limits)
        )
        is_done = await work_until(next_key_ms, clock=clock, port=self._desk.port, task=task)
        answer = await task if is_done else None
        if not is_done:
            self._unanswered.append(task)
        self._asked.append(
            Asked(
                answer=answer,
                wall_ms=(time.perf_counter() - started_s) * 1000,
                cpu_ms=(time.process_time() - cpu_started_s) * 1000,
                wait_ms=clock.now_ms() - started_ms,
                is_after_take=is_after_take,
            )
        )
        if answer is None:
            return False
        if answer.source == "model" and self._desk.on_generation is not None:
            self._desk.on_generation(self._sample_of(answer))
        return self._screen.answer(
            answer.suggestions[0] if answer.suggestions else None,
            mode=answer.plan.mode.value,
            rule=answer.plan.rule,
            source=answer.source,
        )

    def _take(self, showing: Showing, taken: Taken) -> None:
        is_whole = taken.n_chars == len(showing.rest)
        self._insert(showing.rest[: taken.n_chars])
        self._screen.take(taken.n_chars, taken.n_presses)
        self._buffers.note(
            self._uri,
            VerdictKind.ACCEPTED if is_whole else VerdictKind.PARTIALLY_ACCEPTED,
            self._offset,
            now_ms=self._desk.clock.now_ms(),
        )

    def _sample_of(self, answer: Answer) -> Sample:
        """What the model wrote for this answer, and what the file says there."""
        assert self._desk.port.last is not None, "a model has answered"
        return sample_of(
            page=page_of(self._snapshot()),
            plan=answer.plan,
            finish=self._desk.port.last.finishes[0],
            package=self._place.file.package,
            language_id=self._place.file.language_id,
            truth=self._text[self._offset : self._end],
        )

    def _snapshot(self) -> Snapshot:
        opened = self._buffers.find(self._uri)
        assert opened is not None, "the file is open"
        others, desk = self._buffers.others(self._uri), self._desk
        return Snapshot(
            owner=self._owner,
            buffer=opened.buffer,
            cursor=CharOffset(self._offset),
            history=opened.history,
            path=self._place.file.name,
            neighbours=tuple(other.buffer for other in others.values()),
            viewed=tuple(others),
            edited=last_edited(tuple(others.values())),
            memory_scope=desk.memory_scope,
            project=desk.projects.place_of(self._place.file)
            if desk.projects is not None and desk.has_pieces
            else None,
            without_sources=desk.without_sources,
        )

    async def _leave(self) -> None:
        """Close the file. A request that nobody waits for any more must not hide a fault."""
        self._desk.completer.forget(self._owner)
        for task in self._unanswered:
            task.cancel()
        for outcome in await asyncio.gather(*self._unanswered, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _work_until(self, at_ms: float) -> None:
        await work_until(at_ms, clock=self._desk.clock, port=self._desk.port, task=None)
