"""A bare LSP client over a socket: little work a message, so that many fit beside the server.

Owns the frames and the matching of answers. Counts answers, so that a lost or a second one shows.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from types import TracebackType
from typing import Any, Self

__all__ = ["WireClient"]


class WireClient:
    """One connection. Keeps the invariant that each request has one future until it is answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._n_sent = 0
        self.n_answers: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._reading = asyncio.create_task(self._read())
        await self.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self.notify("initialized", {})
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reading.cancel()
        self._writer.close()

    def request(self, method: str, params: object) -> asyncio.Future[Any]:
        """Send a request; its future holds the result."""
        self._n_sent += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._n_sent] = future
        self._send({"id": self._n_sent, "method": method, "params": params})
        return future

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def _read(self) -> None:
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            n_bytes = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            self._take(json.loads(await self._reader.readexactly(n_bytes)))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            if "id" in message:  # A request of the server's: it may report its progress, say.
                self._send({"id": message["id"], "result": None})
            return
        self.n_answers[message["id"]] += 1
        future = self._waiting.pop(message["id"], None)
        if future is not None and not future.done():
            future.set_result(message.get("result"))
