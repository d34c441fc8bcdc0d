"""Laws of the process behind stdin and stdout: its start, its pipes, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fimble_testing.fake_server import SENTENCE
from fimble_testing.raw_client import inline_params
from fimble_testing.server_process import ServerProcess, start_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URI = "file:///project/story.py"
INLINE = "textDocument/inlineCompletion"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """One process for the tests that leave it running."""
    async with start_server(tmp_path_factory.mktemp("server"), "--stdio") as server:
        await server.client.initialize(clientInfo={"name": "Test Editor", "version": "1.2.3"})
        yield server


async def test_typing_along_a_suggestion_shows_its_rest_at_every_key(
    server: ServerProcess,
) -> None:
    client, line = server.client, "text = '"
    client.open(URI, line + "\n")
    for n_typed, character in enumerate(SENTENCE[:-1], start=1):
        client.insert(URI, 0, len(line), character, version=n_typed + 1)
        line += character
        result = await client.request(INLINE, inline_params(URI, 0, len(line)))
        (item,) = result["items"]
        assert (SENTENCE[:n_typed] + item["insertText"]).startswith(SENTENCE)
        assert item["range"]["start"] == {"line": 0, "character": len(line)}


async def test_every_request_of_a_burst_has_one_answer_and_the_last_one_counts(
    server: ServerProcess,
) -> None:
    client = server.client
    client.open("file:///burst.py", "a = 'the q\n")
    asked = [client.ask(INLINE, inline_params("file:///burst.py", 0, 10)) for _ in range(50)]
    answers = await asyncio.gather(*(future for _, future in asked))
    assert answers[-1]["items"][0]["insertText"].startswith("uick brown fox")
    assert all(answer is None or answer["items"] for answer in answers)
    assert {client.n_answers[request_id] for request_id, _ in asked} == {1}


async def test_stdout_carries_the_protocol_and_nothing_else(server: ServerProcess) -> None:
    await server.client.notification("didChangeStatus", busy=False)
    assert server.client.stray_bytes == b""
    assert "noise through the stream" in server.log
    assert "noise through the descriptor" in server.log


async def test_the_log_opens_with_versions_and_names_the_editor(server: ServerProcess) -> None:
    first, second = server.log.splitlines()[:2]
    assert "fimble 0." in first
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in first
    assert "torch" in first
    assert "editor name=Test Editor version=1.2.3" in second


async def test_the_log_holds_ids_and_numbers_and_no_text(server: ServerProcess) -> None:
    secret = "the quick brown password"
    client = server.client
    client.open("file:///secret_path.py", f"key = '{secret}'\n")
    await client.request(INLINE, inline_params("file:///secret_path.py", 0, 10))
    await client.request("textDocument/completion", inline_params("file:///secret_path.py", 0, 10))
    assert "request=" in server.log
    for word in ("password", "quick", "secret_path", "story"):
        assert word not in server.log


async def test_a_process_ends_in_order_after_shutdown_and_exit(tmp_path: Path) -> None:
    async with start_server(tmp_path) as server:
        await server.client.initialize()
        assert await server.client.request("shutdown") is None
        server.client.notify("exit", None)
        assert await server.ended() == 0


async def test_a_process_whose_client_just_leaves_ends_too(tmp_path: Path) -> None:
    """By `exit` without `shutdown`, or by closing the pipe; even before `initialize`."""
    async with start_server(tmp_path) as server:
        server.client.notify("exit", None)
        assert await server.ended() == 1
    async with start_server(tmp_path) as server:
        await server.client.initialize()
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert await server.ended() == 1


async def test_a_client_that_stops_reading_does_not_stop_the_process(tmp_path: Path) -> None:
    async with start_server(tmp_path) as server:
        await server.client.initialize()
        server.stop_reading()
        for _ in range(3):
            server.client.ask("fimble/status", None)
        assert await server.logged(r"stdout is (closed)")
        server.client.notify("exit", None)
        assert await server.ended() == 1


async def test_a_process_ends_when_its_editor_dies(tmp_path: Path) -> None:
    editor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    async with start_server(tmp_path) as server:
        await server.client.initialize(processId=editor.pid)
        await server.client.request("fimble/status")
        editor.kill()
        await editor.wait()
        await server.ended()


async def test_a_process_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async with start_server(tmp_path) as server:
        await server.client.initialize()
        os.kill(server.process.pid, signal.SIGTERM)
        assert await server.ended() == 0
