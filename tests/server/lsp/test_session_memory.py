"""What an editor has open may be copied from by its own requests, and goes with its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fimble_model.engine.clock import SystemClock
from fimble_server.completion.completer import Completer
from fimble_server.completion.project_texts import ProjectText, ProjectTexts
from fimble_server.lsp.engine_thread import EngineThread
from fimble_testing.fake_engine import FakeEngine
from fimble_testing.fake_server import write_sentence
from fimble_testing.raw_client import RawClient, inline_params
from fimble_testing.server_in_process import connected, open_house

URI = "file:///a/b.py"
INLINE = "textDocument/inlineCompletion"


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(0)


async def _ask(client: RawClient) -> None:
    client.open(URI, "above = 1\nthe quick\nbelow = 1\n")
    result = await client.request(INLINE, inline_params(URI, 1, 9))
    assert [item["insertText"] for item in result["items"]] == [" brown fox"]


async def test_open_files_are_remembered_for_their_own_session_and_then_forgotten() -> None:
    engine = FakeEngine(write_sentence)
    async with open_house(
        lambda thread: Completer(port=thread, clock=SystemClock()), load=lambda *_: engine
    ) as house:
        async with connected(house) as one, connected(house) as other:
            for number, client in enumerate((one, other)):
                await client.initialize()
                client.open(f"file:///a/{number}.py", f"number = {number}\n")
                client.open("file:///a/.env", "PASSWORD=hunter2\n")
                await _ask(client)
            remembered = list(engine.memory.values())
            assert remembered == [
                {
                    f"file:///a/{number}.py": f"number = {number}\n",
                    f"{URI}#below": "below = 1\n",
                    URI: "above = 1\n",
                }
                for number in range(2)
            ]
        await _until(lambda: engine.memory == {})


class _Choking(FakeEngine):
    def remember(self, scope: str, key: str, text: str) -> None:
        raise ValueError(text)


async def test_a_text_the_memory_chokes_on_costs_no_answer_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        open_house(
            lambda thread: Completer(port=thread, clock=SystemClock()),
            load=lambda *_: _Choking(write_sentence),
        ) as house,
        connected(house) as client,
    ):
        await client.initialize()
        await _ask(client)
    assert "could not be remembered" in caplog.text
    assert "above = 1" not in caplog.text


async def test_texts_wait_for_no_model() -> None:
    """Before a model is asked for, a text is dropped: the next request brings it again."""
    thread = EngineThread(clock=SystemClock())
    thread.remember(ProjectTexts(scope="a", texts=(ProjectText("key", "text"),)))
    thread.forget("a")
    assert thread.stop(timeout_s=10)
