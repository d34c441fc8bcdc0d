"""The way to an engine that the caller owns: it is stepped in the caller itself, no thread.

For the terminal and for measuring, where nothing else waits. Implements `EnginePort`; gives the
event loop a turn between steps, so that a job can be cancelled or replaced.
"""

from __future__ import annotations

import asyncio
import itertools

from fimble_model.engine.protocol import Clock, Engine, Finish, ModelInfo, RequestId
from fimble_server.completion.engine_port import Generation, Job, may_begin, replaces, stamp
from fimble_server.completion.project_texts import feed

__all__ = ["InlinePort"]


class InlinePort:
    """Keeps the invariant that a job which ends, however it does, leaves no row in the engine.

    `clock` is the engine's own: deadlines are moments on it.
    """

    def __init__(self, *, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._numbers = itertools.count(1)
        self._running: dict[int, Job] = {}
        self._texts: dict[RequestId, str] = {}
        self._finishes: dict[RequestId, Finish] = {}

    @property
    def model(self) -> ModelInfo:
        """What is loaded; here it always is."""
        return self._engine.model

    async def generate(self, job: Job) -> Generation | None:
        """Run a job to its end. None when a newer job replaced it.

        Raises `FimbleError` where the engine refuses the request.
        """
        if not may_begin(job, self._running.values()):
            return None
        number = next(self._numbers)
        for older_number, older in tuple(self._running.items()):
            if replaces(job, older):
                del self._running[older_number]
        self._running[number] = job
        deadline_at_ms = self._clock.now_ms() + job.deadline_ms
        if job.texts is not None:
            feed(self._engine, job.texts)
        built = job.build(self._engine.codec, self._engine.model)
        requests = stamp(job, built, number=number, deadline_at_ms=deadline_at_ms)
        row_ids = [request.request_id for request in requests]
        self._texts.update(dict.fromkeys(row_ids, ""))
        try:
            for request in requests:
                self._engine.add(request)
            while any(row_id not in self._finishes for row_id in row_ids):
                self._step()
                if job.on_progress is not None:
                    job.on_progress(tuple(self._texts[row_id] for row_id in row_ids))
                await asyncio.sleep(0)
                if number not in self._running:
                    return None
            finishes = tuple(self._finishes[row_id] for row_id in row_ids)
            return Generation(finishes=finishes, model=self._engine.model)
        finally:
            self._running.pop(number, None)
            self._free(row_ids)

    def _step(self) -> None:
        for delta in self._engine.step():
            if delta.request_id in self._texts:
                self._texts[delta.request_id] += delta.text
            if delta.finish is not None:
                self._finishes[delta.request_id] = delta.finish

    def _free(self, row_ids: list[RequestId]) -> None:
        """Drop the job's rows; one that still runs takes a step to leave the engine."""
        for row_id in row_ids:
            if row_id not in self._finishes:
                self._engine.cancel(row_id)
        if any(row_id not in self._finishes for row_id in row_ids) and self._engine.has_work:
            self._step()
        for row_id in row_ids:
            self._finishes.pop(row_id, None)
            self._texts.pop(row_id, None)
