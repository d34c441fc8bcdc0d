"""Laws of a server that listens: many clients at once, one engine, each client its own session."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fimble_testing.raw_client import inline_params
from fimble_testing.server_process import ServerProcess, connect, start_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URI = "file:///project/story.py"
INLINE = "textDocument/inlineCompletion"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    async with start_server(folder, "--listen", "tcp:127.0.0.1:0") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(server: ServerProcess) -> str:
    return await server.logged(r"ready on (\S+)")


async def test_two_clients_with_one_file_name_see_their_own_text(address: str) -> None:
    async with connect(address) as first, connect(address) as second:
        for client, text in ((first, "x = 'the q\n"), (second, "y = 'the quick br\n")):
            await client.initialize()
            client.open(URI, text)
        answers = await asyncio.gather(
            first.request(INLINE, inline_params(URI, 0, 10)),
            second.request(INLINE, inline_params(URI, 0, 17)),
        )
        texts = [answer["items"][0]["insertText"] for answer in answers]
        assert texts[0].startswith("uick brown fox")
        assert texts[1].startswith("own fox")
        statuses = [await client.request("fimble/status") for client in (first, second)]
        assert statuses[0]["process_id"] == statuses[1]["process_id"]
        assert statuses[0]["state"] == "ready"


async def test_a_client_that_leaves_or_shuts_down_takes_no_other_with_it(address: str) -> None:
    async with connect(address) as staying:
        await staying.initialize()
        staying.open(URI, "x = 'the q\n")
        async with connect(address) as leaving:
            await leaving.initialize()
        async with connect(address) as ending:
            await ending.initialize()
            await ending.request("shutdown")
            ending.notify("exit", None)
        async with connect(address) as rude:
            rude.send_bytes(b"Content-Length: 999\r\n\r\n{")
        result = await staying.request(INLINE, inline_params(URI, 0, 10))
        assert len(result["items"]) == 1


async def test_a_shared_server_keeps_its_model_and_says_so(address: str) -> None:
    async with connect(address) as client:
        await client.initialize(initializationOptions={"model": "some/other"})
        told = await client.notification("window/showMessage")
        assert "model" in told["message"]
        assert "shared" in told["message"]
        client.open(URI, "x = 'the q\n")
        assert (await client.request(INLINE, inline_params(URI, 0, 10)))["items"]


async def test_a_socket_is_open_to_its_user_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "fimble.sock"
    async with start_server(tmp_path, "--listen", f"unix:{path}") as server:
        address = await server.logged(r"ready on (\S+)")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with connect(address) as client:
            await client.initialize()
            client.open(URI, "x = 'the q\n")
            assert (await client.request(INLINE, inline_params(URI, 0, 10)))["items"]
        # A second server must not take the address from the first.
        async with start_server(tmp_path / "..", "--listen", address) as second:
            assert await second.ended() != 0
        server.process.terminate()
        assert await server.ended() == 0
    assert not path.exists()
