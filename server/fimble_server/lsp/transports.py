"""Where clients come from: our own pipes, or a socket that many may connect to at once.

Owns sockets and the process's end. Each connection gets a session; all share one engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from fimble_server.errors import FimbleError
from fimble_server.lsp.address import Address, TcpAddress, UnixAddress
from fimble_server.lsp.connection import serve_connection
from fimble_server.lsp.session import SessionHouse
from fimble_server.lsp.stdio import StdoutWriter, read_stdin, take_stdout

__all__ = ["serve_sockets", "serve_stdio"]

log = logging.getLogger(__name__)

_Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# A line longer than this is no header; see `framing`.
_MAX_HEADER_BYTES = 64 * 1024


async def serve_stdio(house: SessionHouse) -> bool:
    """Serve the one client that started this process; True where it shut down in order."""
    stdout = take_stdout()
    reader = read_stdin(asyncio.get_running_loop())
    return await serve_connection(reader, StdoutWriter(stdout), house, watches_parent=True)


async def serve_sockets(
    address: Address, house: SessionHouse, *, on_ready: Callable[[str], None]
) -> bool:
    """Serve every client that connects, until cancelled. `on_ready` hears the address's name.

    Returns True, for no client's end is ours. Raises `FimbleError` where the address cannot be had.
    """
    connections: set[asyncio.Task[object]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await serve_connection(reader, writer, house, watches_parent=False)
        finally:
            connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await _listen(address, talk)
    try:
        on_ready(_name_of(address, server))
        await server.serve_forever()
        return True
    finally:
        for task in tuple(connections):
            task.cancel()
        server.close()
        if isinstance(address, UnixAddress):
            address.path.unlink(missing_ok=True)


async def _listen(address: Address, talk: _Talk) -> asyncio.Server:
    try:
        if isinstance(address, TcpAddress):
            if not address.is_loopback:
                log.warning("other machines can connect to %s: there is no password", address.host)
            return await asyncio.start_server(
                talk, address.host, address.port, limit=_MAX_HEADER_BYTES
            )
        if _is_socket(address.path):
            await _refuse_taken(address.path)
        # Only this user may connect: the mask stands before the socket does.
        old_mask = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(talk, address.path, limit=_MAX_HEADER_BYTES)
        finally:
            os.umask(old_mask)
    except (OSError, AttributeError) as error:
        raise FimbleError(
            expected=f"to listen on {_words_of(address)}",
            found=getattr(error, "strerror", None) or type(error).__name__,
            to_do="Choose another address with --listen, or end what holds this one.",
        ) from error


async def _refuse_taken(path: Path) -> None:
    """Raise where another server answers on the socket, which binding would silently replace."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return  # Left over from a server that is gone.
    writer.close()
    raise FileExistsError(errno.EEXIST, "a server that listens there already")


def _is_socket(path: Path) -> bool:
    """Whether a socket lies there. Raises where something else does: it is not ours to replace."""
    if not path.exists():
        return False
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(errno.EEXIST, "a file of that name that is no socket")
    return True


def _words_of(address: Address) -> str:
    if isinstance(address, TcpAddress):
        return f"tcp:{address.host}:{address.port}"
    return f"unix:{address.path}"


def _name_of(address: Address, server: asyncio.Server) -> str:
    """The address as a client may use it, with the port that the system chose."""
    if isinstance(address, TcpAddress):
        return f"tcp:{address.host}:{server.sockets[0].getsockname()[1]}"
    return _words_of(address)
