"""A completions server that fails is told to the user, and asked again when it may be back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fimble_model.engine.protocol import Delta, Engine, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.engine_port import Job
from fimble_server.errors import EndpointError
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_status import EngineState
from fimble_server.lsp.engine_thread import EngineThread
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FakeEngine

FAULT = EndpointError(expected="a server", found="none", to_do="Start it.")


class _BrokenEngine(FakeEngine):
    """Takes requests and then loses its server."""

    def step(self) -> list[Delta]:
        raise FAULT


def _job() -> Job:
    def build(codec: object, model: object) -> tuple[Request, ...]:
        prompt = FakeEngine(lambda prompted: "").codec.encode_fim(prefix="x", suffix="")
        return (
            Request(request_id=RequestId("a"), prompt=prompt, max_new_tokens=1, stop=NeverStop()),
        )

    return Job(owner="one", build=build, deadline_ms=60_000)


@pytest.mark.parametrize("fails_while", ["loading", "stepping"])
async def test_a_server_that_fails_is_tried_again_after_a_while(fails_while: str) -> None:
    clock = ManualClock()
    thread = EngineThread(clock=clock)
    built: list[str] = []

    def build(report: ReportProgress) -> Engine:
        built.append("built")
        if len(built) == 1:
            if fails_while == "loading":
                raise FAULT
            return _BrokenEngine(lambda prompted: "y")
        return FakeEngine(lambda prompted: "y")

    thread.load(build)
    try:
        await _settled(thread)
        await _until(lambda: thread.status.state is EngineState.FAILED)
        assert thread.status.error is FAULT
        with pytest.raises(EndpointError):
            await thread.generate(_job())
        assert len(built) == 1
        clock.advance(5_000)
        assert await thread.generate(_job()) is not None
        assert (len(built), thread.status.state) == (2, EngineState.READY)
    finally:
        assert await asyncio.to_thread(thread.stop, timeout_s=60)


async def _settled(thread: EngineThread) -> None:
    """Whatever the first job meets."""
    try:
        await thread.generate(_job())
    except EndpointError:
        return


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(0)
