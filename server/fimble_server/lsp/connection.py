"""One client from its first byte to its last: frames in, session behind, clean end.

Owns the order of messages. Knows nothing of where the bytes come from.
"""

from __future__ import annotations

import asyncio
import logging
import os

from fimble_server.lsp.framing import read_bodies
from fimble_server.lsp.protocol import Writer
from fimble_server.lsp.server import FimbleServer
from fimble_server.lsp.session import SessionHouse

__all__ = ["serve_connection", "wait_for_process_end"]

log = logging.getLogger(__name__)

_PARENT_CHECK_S = 1.0


async def serve_connection(
    reader: asyncio.StreamReader, writer: Writer, house: SessionHouse, *, watches_parent: bool
) -> bool:
    """Serve a client until it says `exit`, closes the stream, or its process is gone.

    `watches_parent` where the client runs on this machine, so that its process id means
    something. Returns whether the client shut down in order.
    """
    server = FimbleServer(house)
    server.protocol.set_writer(writer)
    talking = asyncio.ensure_future(_talk(reader, server))
    watching = asyncio.ensure_future(_watch_parent(server)) if watches_parent else None
    try:
        waited_for = {talking} if watching is None else {talking, watching}
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (talking, watching):
            if task is not None:
                task.cancel()
        server.session.end()
    if talking.done() and not talking.cancelled() and talking.exception() is not None:
        log.info("the connection broke: %s", type(talking.exception()).__name__)
    return server.ended_cleanly


async def _talk(reader: asyncio.StreamReader, server: FimbleServer) -> None:
    async for body in read_bodies(reader):
        server.protocol.receive(body)
        if server.has_ended:
            return
        # NOTE: a handler takes its snapshot when its task first runs. Without this pause the
        # next message, if it is here already, would change the buffer before that.
        await asyncio.sleep(0)


async def _watch_parent(server: FimbleServer) -> None:
    """End when the editor that started us is gone, where it told its process id."""
    await server.session.started.wait()
    process_id = server.process_id
    if process_id is None or not _is_alive(process_id):
        # From inside another container the id means nothing: then only the stream's end counts.
        await asyncio.Event().wait()
        return
    await wait_for_process_end(process_id)
    log.info("the editor's process is gone")


async def wait_for_process_end(process_id: int) -> None:
    """Return soon after a process on this machine has ended.

    On Linux the system wakes us; elsewhere we look once a second.
    """
    try:
        descriptor = os.pidfd_open(process_id)
    except (AttributeError, OSError):
        while _is_alive(process_id):  # noqa: ASYNC110 - the system sends no event for this
            await asyncio.sleep(_PARENT_CHECK_S)
        return
    loop, has_ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, has_ended.set)
    try:
        await has_ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _is_alive(process_id: int) -> bool:
    """NOTE: on Windows signal 0 is Ctrl-C; there the end of stdin has to do."""
    if os.name != "posix" or process_id <= 0:
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
