"""A JSON-RPC client with its hood open: sends any bytes, keeps every message, counts answers.

Owns one connection, over pipes or a socket. It knows frames and ids, and of LSP only how to
open a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

__all__ = ["Json", "RawClient", "RpcError", "inline_params"]

Json = Mapping[str, Any]
_TIMEOUT_S = 60  # A machine under load is slow; only a hang is a fault.


class ByteWriter(Protocol):
    """What is needed of a writer."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class RpcError(Exception):
    """An error as the answer to a request."""

    def __init__(self, error: Json) -> None:
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class RawClient:
    """One client. `messages` holds all that arrived, `n_answers` how often each id was answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: ByteWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_id = 1
        self._waiting: dict[object, asyncio.Future[Any]] = {}
        self._arrived = asyncio.Event()
        self.messages: list[Json] = []
        self.n_answers: Counter[object] = Counter()
        self.stray_bytes = b""
        self._listening = asyncio.ensure_future(self._listen())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening

    async def initialize(self, **params: Any) -> Any:
        """Open the session; returns the whole answer."""
        answer = await self.request(
            "initialize", {"processId": None, "rootUri": None, "capabilities": {}, **params}
        )
        self.notify("initialized", {})
        return answer

    def send(self, message: Any) -> None:
        """Send any JSON value as a well-framed message."""
        self.send_body(json.dumps(message).encode())

    def send_body(self, body: bytes) -> None:
        """Send any bytes as a well-framed message."""
        self.send_bytes(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; its id, and the future of its result."""
        request_id, self._next_id = self._next_id, self._next_id + 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id, future

    async def request(self, method: str, params: Any = None) -> Any:
        """The result of a request. Raises `RpcError` where the answer is one."""
        return await asyncio.wait_for(self.ask(method, params)[1], _TIMEOUT_S)

    async def cancel(self, request_id: int) -> None:
        """Ask for a request to be given up."""
        self.notify("$/cancelRequest", {"id": request_id})

    async def message(self, matches: Callable[[Json], bool]) -> Json:
        """The first message that matches, waiting until it arrives."""
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                for message in self.messages:
                    if matches(message):
                        return message
                self._arrived.clear()
                await self._arrived.wait()

    async def notification(self, method: str, **expected: object) -> Json:
        """The parameters of the first notification of a method that hold these values."""

        def is_it(message: Json) -> bool:
            params = message.get("params") or {}
            return message.get("method") == method and expected.items() <= params.items()

        params: Json = (await self.message(is_it))["params"]
        return params

    def notifications(self, method: str) -> list[Json]:
        """The parameters of every notification of a method so far."""
        return [message["params"] for message in self.messages if message.get("method") == method]

    def open(self, uri: str, text: str, *, language_id: str = "python", version: int = 1) -> None:
        """Open a file."""
        document = {"uri": uri, "languageId": language_id, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def insert(self, uri: str, line: int, character: int, text: str, *, version: int = 2) -> None:
        """Type at a place."""
        place = {"line": line, "character": character}
        self.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": version},
                "contentChanges": [{"range": {"start": place, "end": place}, "text": text}],
            },
        )

    async def _listen(self) -> None:
        while True:
            n_bytes = None
            while (line := await self._reader.readline()).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    n_bytes = int(value)
                elif name.lower() != b"content-type":
                    self.stray_bytes += line
            if not line:
                return
            if n_bytes is None:
                self.stray_bytes += line
                continue
            self._take(json.loads(await self._reader.readexactly(n_bytes)))

    def _take(self, message: Json) -> None:
        self.messages.append(message)
        if "method" not in message:
            self.n_answers[message["id"]] += 1
            future = self._waiting.pop(message["id"], None)
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(RpcError(message["error"]))
                else:
                    future.set_result(message["result"])
        elif "id" in message:
            self.send({"jsonrpc": "2.0", "id": message["id"], "result": None})
        self._arrived.set()


def inline_params(uri: str, line: int, character: int, *, kind: int = 2) -> Json:
    """The parameters of a request for ghost text; kind 1 is on the user's wish."""
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": kind},
    }
