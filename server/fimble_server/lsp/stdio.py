"""The process's own pipes as one connection: requests on stdin, replies on a private stdout.

Owns the file descriptors. Reading blocks, so a thread that only moves bytes does it: the one
way that works for pipes, files and terminals on every system. It owns nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import BinaryIO

__all__ = ["StdoutWriter", "read_stdin", "take_stdout"]

log = logging.getLogger(__name__)

_CHUNK_BYTES = 64 * 1024
# A line longer than this is no header; see `framing`.
_MAX_HEADER_BYTES = 64 * 1024


class StdoutWriter:
    """Writes whole messages to the private copy of stdout, on the event loop."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._is_broken = False

    def write(self, data: bytes) -> None:
        """Send a message at once. Where nobody reads any more, stdin's end will follow."""
        if self._is_broken:
            return
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            self._is_broken = True
            log.warning("stdout is closed: %s", type(error).__name__)

    def close(self) -> None:
        """Leave the stream open: the process ends soon after, and others may still flush."""


def take_stdout() -> BinaryIO:
    """Keep stdout for the protocol alone: whatever else prints, prints to stderr from now on."""
    sys.stdout.flush()
    private_stdout = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private_stdout, "wb")


def read_stdin(loop: asyncio.AbstractEventLoop) -> asyncio.StreamReader:
    """A reader of stdin; it ends where stdin ends."""
    reader = asyncio.StreamReader(limit=_MAX_HEADER_BYTES, loop=loop)
    # Nothing but the protocol may read stdin: a child process or input() would eat messages.
    private_stdin = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(
        target=_pump, args=(private_stdin, reader, loop), name="fimble-stdin", daemon=True
    ).start()
    return reader


def _pump(stdin: int, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
    try:
        while data := _read_some(stdin):
            loop.call_soon_threadsafe(reader.feed_data, data)
        loop.call_soon_threadsafe(reader.feed_eof)
    except RuntimeError:
        return  # The loop is closed: nobody listens any more.


def _read_some(stdin: int) -> bytes:
    try:
        return os.read(stdin, _CHUNK_BYTES)
    except OSError:
        return b""
