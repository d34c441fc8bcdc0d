"""Laws of the engine's thread: one answer a job, newest wins, nothing outlives its owner."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from fimble_model import LoadProgress
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import (
    Delta,
    Engine,
    EngineHoldings,
    EngineWork,
    Finish,
    FinishReason,
    ModelInfo,
    Prompt,
    Request,
    RequestId,
    Surroundings,
    TextCodec,
    TokenId,
)
from fimble_model.errors import CheckpointError
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.errors import FimbleError, RequestError
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_status import EngineState
from fimble_server.lsp.engine_thread import EngineThread

MODEL = ModelInfo(
    name="steps",
    device="cpu",
    dtype="float32",
    n_parameters=1,
    context_tokens=64,
    vocabulary_size=8,
    fim_family="none",
    fim_orders=(),
)


class _NoCodec:
    def encode(self, text: str) -> list[TokenId]:
        return [TokenId(ord(character)) for character in text]

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        return "".join(chr(token_id) for token_id in token_ids)

    @property
    def shows_files(self) -> bool:
        return False

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        return Prompt(token_ids=tuple(self.encode(prefix + suffix)))


class _NeverStop:
    def n_chars_to_keep(self, middle: str) -> int | None:
        return None


@dataclass
class _StepEngine:
    """A row ends after `max_new_tokens` steps; a step waits while `gate` is closed."""

    gate: threading.Event = field(default_factory=threading.Event)
    rows: dict[RequestId, tuple[Request, int]] = field(default_factory=dict)
    cancelled: set[RequestId] = field(default_factory=set)
    finished: list[RequestId] = field(default_factory=list)
    n_throws: int = 0
    n_steps: int = 0
    threads: set[str] = field(default_factory=set)
    name: str = "steps"
    remembered: list[tuple[str, str, str, str]] = field(default_factory=list)
    forgotten: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def model(self) -> ModelInfo:
        return MODEL

    @property
    def codec(self) -> TextCodec:
        return _NoCodec()

    @property
    def has_work(self) -> bool:
        return bool(self.rows)

    @property
    def work(self) -> EngineWork:
        return EngineWork(n_passes=self.n_steps)

    @property
    def holdings(self) -> EngineHoldings:
        return EngineHoldings()

    def add(self, request: Request) -> None:
        if request.max_new_tokens > 1000:
            raise RequestError(expected="a short row", found="a long one", to_do="Ask for less.")
        self.rows[request.request_id] = (request, 0)

    def cancel(self, request_id: RequestId) -> None:
        if request_id in self.rows:
            self.cancelled.add(request_id)

    def remember(self, scope: str, key: str, text: str) -> None:
        self.remembered.append((scope, key, text, threading.current_thread().name))

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        return

    def forget(self, scope: str, key: str | None = None) -> None:
        self.forgotten.append((scope, key))

    def step(self) -> list[Delta]:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        self.n_steps += 1
        if self.n_throws:
            self.n_throws -= 1
            raise ValueError("secret text of the user")
        return [self._advance(row_id) for row_id in tuple(self.rows)]

    def _advance(self, row_id: RequestId) -> Delta:
        request, n_done = self.rows[row_id]
        n_done += 1
        self.rows[row_id] = (request, n_done)
        is_cancelled = row_id in self.cancelled
        is_late = SystemClock().now_ms() >= (request.deadline_ms or math.inf)
        if not is_cancelled and not is_late and n_done < request.max_new_tokens:
            return Delta(request_id=row_id, text="x")
        del self.rows[row_id]
        self.finished.append(row_id)
        reason = FinishReason.CANCELLED if is_cancelled else FinishReason.LENGTH
        if is_late and not is_cancelled:
            reason = FinishReason.DEADLINE
        finish = Finish(
            reason=reason,
            text="x" * n_done,
            tokens=(),
            n_prompt_tokens=1,
            n_reused_tokens=0,
            queue_ms=0.0,
            prefill_ms=0.0,
            decode_ms=0.0,
        )
        return Delta(request_id=row_id, text="x", finish=finish)


def _job(
    owner: str = "a", *, n_tokens: int = 3, n_rows: int = 1, deadline_ms: float = 10_000
) -> Job:
    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        return tuple(
            Request(
                request_id=RequestId("same"),
                prompt=Prompt(token_ids=tuple(codec.encode("p"))),
                max_new_tokens=n_tokens + row_index,
                stop=_NeverStop(),
            )
            for row_index in range(n_rows)
        )

    return Job(owner=owner, build=build, deadline_ms=deadline_ms)


@pytest.fixture
def engine() -> _StepEngine:
    engine = _StepEngine()
    engine.gate.set()
    return engine


@pytest_asyncio.fixture
async def thread(engine: _StepEngine) -> AsyncIterator[EngineThread]:
    thread = EngineThread(clock=SystemClock())
    yield thread
    engine.gate.set()
    assert await asyncio.to_thread(thread.stop, timeout_s=60)


async def _until(is_so: Callable[[], bool]) -> None:
    """Let the loop and the thread go on until something holds."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(0)


def _loader(engine: Engine) -> Callable[[ReportProgress], Engine]:
    return lambda _: engine


async def test_the_engine_is_built_and_stepped_on_one_thread_of_its_own(
    thread: EngineThread, engine: _StepEngine
) -> None:
    built_on: list[str] = []

    def build(report: ReportProgress) -> Engine:
        built_on.append(threading.current_thread().name)
        return engine

    thread.load(build)
    generation = await thread.generate(_job())
    assert generation is not None
    assert generation.model is MODEL
    assert {*built_on} == engine.threads == {"fimble-engine"}


async def test_every_row_of_a_job_comes_back_in_order_though_all_chose_one_id(
    thread: EngineThread, engine: _StepEngine
) -> None:
    thread.load(_loader(engine))
    answers = await asyncio.gather(
        thread.generate(_job("a", n_rows=3)), thread.generate(_job("b", n_rows=2))
    )
    lengths = [[len(row.text) for row in answer.finishes] for answer in answers if answer]
    assert lengths == [[3, 4, 5], [3, 4]]


async def test_a_newer_job_of_an_owner_replaces_the_running_one_at_once(
    thread: EngineThread, engine: _StepEngine
) -> None:
    thread.load(_loader(engine))
    await _until(lambda: thread.model is not None)
    engine.gate.clear()
    older = asyncio.ensure_future(thread.generate(_job(n_tokens=500)))
    await _until(lambda: bool(engine.rows))
    newer = asyncio.ensure_future(thread.generate(_job(n_tokens=2)))
    # The older is answered while the engine is still inside its step.
    assert await older is None
    engine.gate.set()
    answer = await newer
    assert answer is not None
    assert len(answer.finishes[0].text) == 2
    assert not engine.rows


async def test_a_job_that_waits_for_the_model_is_replaced_too(
    thread: EngineThread, engine: _StepEngine
) -> None:
    loading = threading.Event()

    def build(report: ReportProgress) -> Engine:
        assert loading.wait(10)
        return engine

    thread.load(build)
    older = asyncio.ensure_future(thread.generate(_job()))
    await asyncio.sleep(0)
    newer = asyncio.ensure_future(thread.generate(_job(deadline_ms=50)))
    assert await older is None
    assert thread.status.state is EngineState.LOADING
    loading.set()
    answer = await newer
    assert answer is not None
    assert answer.finishes[0].reason is FinishReason.LENGTH


async def test_cancelling_the_waiting_task_frees_the_rows_within_one_step(
    thread: EngineThread, engine: _StepEngine
) -> None:
    thread.load(_loader(engine))
    await _until(lambda: thread.model is not None)
    engine.gate.clear()
    task = asyncio.ensure_future(thread.generate(_job(n_tokens=500, n_rows=2)))
    await _until(lambda: len(engine.rows) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    n_steps = engine.n_steps
    engine.gate.set()
    await _until(lambda: not engine.rows)
    assert engine.n_steps - n_steps <= 2


async def test_at_its_deadline_a_job_comes_back_with_what_it_has(
    thread: EngineThread, engine: _StepEngine
) -> None:
    thread.load(_loader(engine))
    await _until(lambda: thread.model is not None)
    answer = await thread.generate(_job(n_tokens=1000, deadline_ms=0))
    assert answer is not None
    assert answer.finishes[0].reason is FinishReason.DEADLINE
    assert answer.finishes[0].text


async def test_a_model_that_cannot_be_loaded_is_told_to_every_job(thread: EngineThread) -> None:
    def build(report: ReportProgress) -> Engine:
        raise CheckpointError(expected="a folder", found="none", to_do="Name one.")

    waiting = asyncio.ensure_future(thread.generate(_job("early")))
    await asyncio.sleep(0)
    thread.load(build)
    for task in (waiting, asyncio.ensure_future(thread.generate(_job("late")))):
        with pytest.raises(CheckpointError):
            await task
    assert thread.status.state is EngineState.FAILED
    assert isinstance(thread.status.error, CheckpointError)
    with pytest.raises(CheckpointError):
        await thread.generate(_job("after"))


async def test_a_loader_that_throws_fails_the_model_without_quoting(
    thread: EngineThread, caplog: pytest.LogCaptureFixture
) -> None:
    def build(report: ReportProgress) -> Engine:
        raise KeyError("secret text of the user")

    thread.load(build)
    with pytest.raises(FimbleError, match="KeyError"):
        await thread.generate(_job())
    assert "secret" not in caplog.text


async def test_a_failed_model_is_replaced_by_one_that_loads(
    thread: EngineThread, engine: _StepEngine
) -> None:
    def build(report: ReportProgress) -> Engine:
        raise CheckpointError(expected="a folder", found="none", to_do="Name one.")

    thread.load(build)
    await _until(lambda: thread.status.state is EngineState.FAILED)
    thread.load(_loader(engine))
    assert await thread.generate(_job()) is not None
    assert thread.status.state is EngineState.READY


async def test_jobs_survive_the_change_of_a_model(
    thread: EngineThread, engine: _StepEngine
) -> None:
    old = _StepEngine()
    thread.load(_loader(old))
    await _until(lambda: thread.model is not None)
    running = asyncio.ensure_future(thread.generate(_job(n_tokens=400)))
    await _until(lambda: bool(old.rows))
    thread.load(_loader(engine))
    old.gate.set()
    answer = await running
    assert answer is not None
    assert len(engine.finished) == 1


async def test_a_step_that_throws_fails_its_rows_and_not_the_thread(
    thread: EngineThread, engine: _StepEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.n_throws = 1
    thread.load(_loader(engine))
    failed = await thread.generate(_job("a", n_rows=2))
    assert failed is not None
    assert [row.reason for row in failed.finishes] == [FinishReason.FAILED] * 2
    answer = await thread.generate(_job("a"))
    assert answer is not None
    assert answer.finishes[0].reason is FinishReason.LENGTH
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_an_engine_that_only_throws_is_given_up(
    thread: EngineThread, engine: _StepEngine
) -> None:
    engine.n_throws = 100
    thread.load(_loader(engine))
    await thread.generate(_job())
    await _until(lambda: thread.status.state is EngineState.FAILED)
    with pytest.raises(FimbleError, match="faults in a row"):
        await thread.generate(_job())


async def test_a_prompt_that_cannot_be_built_fails_its_job_alone(
    thread: EngineThread, engine: _StepEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        raise IndexError("secret text of the user")

    thread.load(_loader(engine))
    with pytest.raises(RequestError, match="IndexError"):
        await thread.generate(Job(owner="a", build=build, deadline_ms=100))
    with pytest.raises(RequestError, match="a short row"):
        await thread.generate(_job(n_tokens=2000, n_rows=2))
    assert await thread.generate(_job()) is not None
    assert "secret" not in caplog.text


async def test_the_engine_is_told_whose_a_row_is_and_until_when(
    thread: EngineThread, engine: _StepEngine
) -> None:
    """So that it can share itself out fairly among the clients of one server."""
    thread.load(_loader(engine))
    await _until(lambda: thread.model is not None)
    engine.gate.clear()
    job = dataclasses.replace(_job("buffer", n_rows=2), client="client 7")
    before_ms = SystemClock().now_ms()
    task = asyncio.ensure_future(thread.generate(job))
    await _until(lambda: len(engine.rows) == 2)
    requests = [request for request, _ in engine.rows.values()]
    assert {(request.client, request.owner) for request in requests} == {("client 7", "buffer")}
    for request in requests:
        assert request.deadline_ms is not None
        assert before_ms + 9_000 < request.deadline_ms < SystemClock().now_ms() + 10_001
    engine.gate.set()
    assert await task is not None


async def test_a_job_without_rows_is_answered(thread: EngineThread, engine: _StepEngine) -> None:
    thread.load(_loader(engine))
    generation = await thread.generate(_job(n_rows=0))
    assert generation == Generation(finishes=(), model=MODEL)


async def test_listeners_hear_the_loading_in_order(
    thread: EngineThread, engine: _StepEngine
) -> None:
    half = LoadProgress(message="half", done=0.5)
    heard: list[tuple[EngineState, LoadProgress | None]] = []

    def build(report: ReportProgress) -> Engine:
        report(half)
        return engine

    stop = thread.listen(lambda status: heard.append((status.state, status.progress)))
    thread.load(build)
    await _until(lambda: thread.status.state is EngineState.READY)
    assert heard[0] == (EngineState.LOADING, None)
    assert heard[-2:] == [
        (EngineState.LOADING, LoadProgress(message="half", done=0.5)),
        (EngineState.READY, None),
    ]
    stop()
    n_heard = len(heard)
    thread.load(_loader(engine))
    assert len(heard) == n_heard


async def test_an_idle_thread_uses_no_processor(thread: EngineThread, engine: _StepEngine) -> None:
    thread.load(_loader(engine))
    await thread.generate(_job())
    n_steps = engine.n_steps
    used_s = time.process_time()
    await asyncio.sleep(0.1)
    assert engine.n_steps == n_steps
    assert time.process_time() - used_s < 0.05


async def test_stopping_twice_or_before_loading_is_harmless() -> None:
    thread = EngineThread(clock=SystemClock())
    assert thread.stop(timeout_s=0)
    thread.load(_loader(_StepEngine()))
    assert thread.stop(timeout_s=60)
    assert thread.stop(timeout_s=60)


def test_a_late_word_after_the_loop_is_closed_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    engine, gate = _StepEngine(), threading.Event()

    def build(report: ReportProgress) -> Engine:
        assert gate.wait(10)
        return engine

    async def start() -> EngineThread:
        thread = EngineThread(clock=SystemClock())
        thread.load(build)
        return thread

    with caplog.at_level(logging.WARNING):
        thread = asyncio.run(start())
        gate.set()
        assert thread.stop(timeout_s=60)
    assert not caplog.records
