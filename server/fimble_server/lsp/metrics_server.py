"""Where metrics are read: one small page over HTTP, on the event loop.

Owns that socket and its few answers. It serves one page of numbers to whoever may connect, and
by default nobody but this machine may. No thread of its own: a page is a millisecond's work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fimble_server.errors import FimbleError
from fimble_server.lsp.address import TcpAddress, parse_address
from fimble_server.lsp.metrics import Metrics

__all__ = ["parse_metrics_address", "serve_metrics"]

log = logging.getLogger(__name__)

_MAX_HEADER_BYTES = 16 * 1024
_PATIENCE_S = 5.0


def parse_metrics_address(words: str, *, is_public: bool) -> TcpAddress:
    """The address in `HOST:PORT`. Raises `FimbleError` for none, or for one that others reach.

    >>> parse_metrics_address("127.0.0.1:9100", is_public=False).port
    9100
    """
    try:
        address = parse_address(f"tcp:{words}")
        assert isinstance(address, TcpAddress)
    except FimbleError as error:
        raise FimbleError(
            expected="--metrics as HOST:PORT, like 127.0.0.1:9100",
            found=repr(words),
            to_do="Correct it, or leave it out.",
        ) from error
    if not address.is_loopback and not is_public:
        raise FimbleError(
            expected="a --metrics address of this machine alone, like 127.0.0.1:9100",
            found=f"{address.host}, which other machines may reach",
            to_do="Choose a loopback address, or add --metrics-public if that is meant.",
        )
    return address


@asynccontextmanager
async def serve_metrics(address: TcpAddress, metrics: Metrics) -> AsyncIterator[str]:
    """Serve the page while the block runs; gives its URL. Raises `FimbleError` where it cannot."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            writer.write(await _answer(reader, metrics))
            await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(
            talk, address.host, address.port, limit=_MAX_HEADER_BYTES
        )
    except OSError as error:
        raise FimbleError(
            expected=f"to serve metrics on {address.host}:{address.port}",
            found=error.strerror or type(error).__name__,
            to_do="Choose another port with --metrics, or end what holds this one.",
        ) from error
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://{address.host}:{port}/metrics"
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, metrics: Metrics) -> bytes:
    """The whole answer to one request; connections are not kept."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return _response("431 Request Header Fields Too Large", "text/plain", b"")
    request_line, *header_lines = head.decode("latin-1").split("\r\n")
    method, _, rest = request_line.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", "text/plain", b"Only GET.\n")
    if path not in ("/", "/metrics"):
        return _response("404 Not Found", "text/plain", b"The numbers are at /metrics.\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in header_lines)
    }
    content_type, page = metrics.render(headers.get("accept", ""))
    return _response("200 OK", content_type, page, is_head=method == "HEAD")


def _response(status: str, content_type: str, body: bytes, *, is_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if is_head else body)
