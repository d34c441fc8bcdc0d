"""Laws of the port without a thread: deadlines hold, and no row outlives its job."""

from __future__ import annotations

import asyncio

import pytest

from fimble_model.engine.protocol import FinishReason, ModelInfo, Request, RequestId, TextCodec
from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.engine_port import Job
from fimble_server.completion.inline_port import InlinePort
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FakeEngine


def _job(*, deadline_ms: float = 1e9, n_rows: int = 1, owner: str = "one") -> Job:
    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        del model
        return tuple(
            Request(
                request_id=RequestId(str(index)),
                prompt=codec.encode_fim(prefix="", suffix=""),
                max_new_tokens=50,
                stop=NeverStop(),
            )
            for index in range(n_rows)
        )

    return Job(owner=owner, build=build, deadline_ms=deadline_ms)


async def test_rows_come_back_in_the_order_of_their_requests() -> None:
    texts = iter(["longer", "short"])
    port = InlinePort(engine=FakeEngine(lambda _: next(texts)), clock=ManualClock())
    generation = await port.generate(_job(n_rows=2))
    assert generation is not None
    assert [finish.text for finish in generation.finishes] == ["longer", "short"]


async def test_at_the_deadline_rows_come_back_with_what_they_have() -> None:
    clock = ManualClock(ms_per_look=10.0)
    engine = FakeEngine(lambda _: "never to be written out", clock=clock)
    port = InlinePort(engine=engine, clock=clock)
    generation = await port.generate(_job(deadline_ms=45.0))
    assert generation is not None
    assert generation.finishes[0].reason is FinishReason.DEADLINE
    assert "never to be".startswith(generation.finishes[0].text)
    assert generation.finishes[0].text
    assert not engine.has_work


async def test_a_cancelled_task_frees_its_rows() -> None:
    engine = FakeEngine(lambda _: "long " * 10)
    port = InlinePort(engine=engine, clock=ManualClock())
    task = asyncio.create_task(port.generate(_job()))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not engine.has_work


async def test_a_newer_job_of_the_owner_replaces_an_older_one() -> None:
    engine = FakeEngine(lambda _: "text")
    port = InlinePort(engine=engine, clock=ManualClock())
    jobs = (_job(), _job(), _job(owner="two"))
    older, newer, other = await asyncio.gather(*(port.generate(job) for job in jobs))
    assert older is None
    assert newer is not None
    assert other is not None
    assert not engine.has_work
