"""The server without a process: a session house in the test's own loop, and clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import Engine
from fimble_server.errors import CheckpointError
from fimble_server.lsp.connection import serve_connection
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.model_host import LoadModel, ModelHost
from fimble_server.lsp.session import SessionHouse
from fimble_server.lsp.suggesting import CompleterPort
from fimble_server.settings import ModelSettings, Settings
from fimble_server.settings_layers import SettingsLayer, merge_settings
from fimble_testing.raw_client import RawClient

__all__ = ["connected", "open_house", "refuse_to_load"]


def refuse_to_load(settings: ModelSettings, report: ReportProgress) -> Engine:
    """A loader for tests that ask no model."""
    raise CheckpointError(expected="a test without a model", found="none", to_do="Script one.")


@asynccontextmanager
async def open_house(
    build_completer: Callable[[EngineThread], CompleterPort],
    *,
    load: LoadModel = refuse_to_load,
    layers: tuple[SettingsLayer, ...] = (),
    is_shared: bool = False,
) -> AsyncIterator[SessionHouse]:
    """A house whose engine thread ends with the block."""
    thread = EngineThread(clock=SystemClock())
    settings: Settings = merge_settings(layers)
    host = ModelHost(thread=thread, settings=settings.model, load=load, is_shared=is_shared)
    try:
        yield SessionHouse(
            host=host,
            build_completer=lambda: build_completer(thread),
            layers=layers,
            clock=SystemClock(),
        )
    finally:
        assert await asyncio.to_thread(thread.stop, timeout_s=60)


@asynccontextmanager
async def connected(house: SessionHouse) -> AsyncIterator[RawClient]:
    """One client of the house, over a socket pair."""
    client_socket, server_socket = socket.socketpair()
    server_reader, server_writer = await asyncio.open_connection(sock=server_socket)
    client_reader, client_writer = await asyncio.open_connection(sock=client_socket)
    serving = asyncio.ensure_future(
        serve_connection(server_reader, server_writer, house, watches_parent=False)
    )
    async with RawClient(client_reader, client_writer) as client:
        yield client
    await asyncio.wait_for(serving, 60)
    server_writer.close()
    with contextlib.suppress(OSError):
        await server_writer.wait_closed()
