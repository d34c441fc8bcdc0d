"""Laws of a model that nobody asks: it is freed, says so, and the next request brings it back."""

from __future__ import annotations

import asyncio
import weakref
from pathlib import Path

import psutil

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import Engine, ModelInfo, Request, RequestId, TextCodec
from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.engine_port import Job
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.status_note import StatusNote, plan_status_note
from fimble_testing.fake_engine import FAKE_MODEL, FakeEngine
from fimble_testing.server_process import start_server


def _job(text: str) -> Job:
    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        prompt = codec.encode_fim(prefix=text, suffix="")
        request_id = RequestId("row")
        return (Request(request_id=request_id, prompt=prompt, max_new_tokens=9, stop=NeverStop()),)

    return Job(owner="owner", build=build, deadline_ms=60_000)


async def _until_unloaded(thread: EngineThread) -> None:
    unloaded = asyncio.Event()

    def look(status: EngineStatus) -> None:
        if status.state is EngineState.UNLOADED:
            unloaded.set()

    stop = thread.listen(look)
    look(thread.status)
    await asyncio.wait_for(unloaded.wait(), 60)
    stop()


async def test_an_idle_model_is_freed_and_the_next_job_loads_it_again() -> None:
    thread = EngineThread(clock=SystemClock())
    built: list[weakref.ref[FakeEngine]] = []

    def build(report: ReportProgress) -> Engine:
        engine = FakeEngine(lambda prompted: prompted.prefix.upper())
        built.append(weakref.ref(engine))
        return engine

    thread.load(build, unload_after_idle_s=0.0)
    await _until_unloaded(thread)
    assert thread.model is None
    assert thread.status.model is FAKE_MODEL
    for n_built in (1, 2):
        assert len(built) == n_built
        assert built[-1]() is None
        generation = await thread.generate(_job("again"))
        assert generation is not None
        assert generation.finishes[0].text == "AGAIN"
        await _until_unloaded(thread)
    assert await asyncio.to_thread(thread.stop, timeout_s=60)


async def test_a_model_without_a_limit_stays() -> None:
    thread = EngineThread(clock=SystemClock())
    heard: list[EngineState] = []
    thread.listen(lambda status: heard.append(status.state))
    thread.load(lambda _: FakeEngine(lambda _: "x"))
    for _ in range(3):
        await thread.generate(_job("x"))
    assert EngineState.UNLOADED not in heard
    assert await asyncio.to_thread(thread.stop, timeout_s=60)


def test_for_an_editor_an_unloaded_model_is_as_good_as_ready() -> None:
    note = plan_status_note(
        engine=EngineStatus(state=EngineState.UNLOADED, model=FAKE_MODEL),
        is_enabled=True,
        settings_error=None,
        is_thinking=False,
    )
    words = "The model is unloaded; the next request loads it again."
    assert note == StatusNote(kind="Normal", busy=False, message=words)


async def test_an_idle_server_uses_no_processor(tmp_path: Path) -> None:
    """Measured over a second of a whole process: nothing in it may ask whether there is news."""
    async with start_server(tmp_path) as server:
        await server.client.initialize(processId=psutil.Process().pid)
        server.client.open("file:///project/story.py", "x = 'the q\n")
        async with asyncio.timeout(60):
            while (status := await server.client.request("fimble/status"))["state"] != "ready":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0)
        assert set(status["memory"]) >= {"resident_bytes", "weight_bytes", "cache_bytes"}
        process = psutil.Process(server.process.pid)
        n_before, used_before = process.num_ctx_switches().voluntary, sum(process.cpu_times()[:2])
        await asyncio.sleep(1)
        assert sum(process.cpu_times()[:2]) - used_before <= 0.02
        # A thread that wakes to look does so of its own will, many times a second.
        assert process.num_ctx_switches().voluntary - n_before <= 2
