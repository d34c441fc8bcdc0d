"""Bytes to message bodies: reads `Content-Length` frames, and finds its feet after a wrong one.

Owns the frame and nothing inside it. A stream that lies about a length loses the messages it
lied about, not the connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator

__all__ = ["MAX_BODY_BYTES", "read_bodies"]

log = logging.getLogger(__name__)

# Guessed: far above any buffer an editor opens, far below what would exhaust the machine.
MAX_BODY_BYTES = 128 * 1024 * 1024
_SKIP_BYTES = 1024 * 1024

# Searched for and not matched at the start: after a length that was too small, the header of
# the next message stands behind the rest of the body before.
_CONTENT_LENGTH = re.compile(rb"Content-Length:[ \t]*(\d{1,18})[ \t]*\r?\n$", re.IGNORECASE)


async def read_bodies(reader: asyncio.StreamReader) -> AsyncIterator[bytes | None]:
    """Each message's body, in order, until the stream ends. None stands for one too large."""
    n_body_bytes: int | None = None
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            log.warning("a header without an end was skipped")
            continue
        if not line:
            return
        if found := _CONTENT_LENGTH.search(line):
            n_body_bytes = int(found[1])
        elif n_body_bytes is not None and not line.strip():
            try:
                yield await _read_body(reader, n_body_bytes)
            except asyncio.IncompleteReadError:
                log.info("the stream ended inside a message")
                return
            n_body_bytes = None


async def _read_body(reader: asyncio.StreamReader, n_bytes: int) -> bytes | None:
    if n_bytes <= MAX_BODY_BYTES:
        return await reader.readexactly(n_bytes)
    log.error("a message of %d bytes is too large and was skipped", n_bytes)
    while n_bytes:
        n_bytes -= len(await reader.readexactly(min(n_bytes, _SKIP_BYTES)))
    return None
