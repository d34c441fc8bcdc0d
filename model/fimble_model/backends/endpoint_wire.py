"""The bytes between us and a completions server: requests out, pieces of text in.

Owns one thread that only moves bytes, and the connections. Never decides what is asked nor where
a middle ends. Logs neither prompts nor answers nor keys.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import httpx2

from fimble_model.backends.endpoint import Endpoint, fault_of_status, malformed, no_answer
from fimble_model.engine.protocol import RequestId
from fimble_model.errors import EndpointError

__all__ = ["Ended", "EndpointWire", "Failed", "Served", "Written"]

_CONNECT_S = 5.0
_STOP_S = 2.0


class Written(NamedTuple):
    """New text of a row. `logprob` is that of all its tokens, None where the server is silent."""

    request_id: RequestId
    text: str
    logprob: float | None


class Ended(NamedTuple):
    """The server has no more; `is_full` where its limit of tokens ended the row."""

    request_id: RequestId
    is_full: bool


class Failed(NamedTuple):
    """A row got no further. A `lasting` fault is the server's, and not the row's alone."""

    request_id: RequestId
    error: EndpointError
    lasting: bool


Event = Written | Ended | Failed


class Served(NamedTuple):
    """What a server says it has; nothing where it does not say. `owner` tells its kind."""

    names: tuple[str, ...] = ()
    owner: str | None = None


class EndpointWire:
    """Keeps the invariant that each row ends in one `Ended` or `Failed`, unless it is dropped."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._endpoint = endpoint
        self._asks_logprobs = True
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._client = _build_client(endpoint)
        self._rows: dict[RequestId, Future[None]] = {}
        self._thread = threading.Thread(target=self._run, name="fimble-endpoint", daemon=True)
        self._thread.start()

    def ask(self, request_id: RequestId, body: Mapping[str, object]) -> None:
        """Have a row written."""
        self._rows[request_id] = asyncio.run_coroutine_threadsafe(
            self._serve(request_id, dict(body)), self._loop
        )

    def drop(self, request_id: RequestId) -> None:
        """Close a row's connection, so that the server stops too. Unknown ids are ignored."""
        row = self._rows.pop(request_id, None)
        if row is not None:
            row.cancel()

    def list_served(self) -> Served:
        """What the server says it has. Raises `EndpointError`."""
        return asyncio.run_coroutine_threadsafe(self._fetch_served(), self._loop).result()

    def stop(self) -> None:
        """Close all connections and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        """Until told to stop; then no connection is left open."""
        async with self._client:
            await self._stopping.wait()
            rows = asyncio.all_tasks() - {asyncio.current_task()}
            for row in rows:
                row.cancel()
            await asyncio.gather(*rows, return_exceptions=True)

    async def _fetch_served(self) -> Served:
        try:
            response = await self._client.get(self._endpoint.url + "/models")
        except httpx2.TransportError as error:
            raise _transport_fault(self._endpoint, error) from error
        if response.status_code in (401, 403, 429) or response.status_code >= 500:
            raise fault_of_status(self._endpoint, response.status_code)
        try:
            return _parse_served(response.json()["data"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return Served()

    async def _serve(self, request_id: RequestId, body: dict[str, object]) -> None:
        try:
            if self._asks_logprobs and await self._stream(request_id, body | {"logprobs": 1}):
                return
            self._asks_logprobs = False
            await self._stream(request_id, body)
        except EndpointError as error:
            self.events.put(Failed(request_id, error, lasting=False))
        except _LastingFault as fault:
            self.events.put(Failed(request_id, fault.error, lasting=True))
        except httpx2.TransportError as error:
            lasting = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            told = _transport_fault(self._endpoint, error)
            self.events.put(Failed(request_id, told, lasting=lasting))

    async def _stream(self, request_id: RequestId, body: dict[str, object]) -> bool:
        """Read a row to its end. False where the server takes no `logprobs`."""
        url = self._endpoint.url + "/completions"
        async with self._client.stream("POST", url, json=body) as response:
            if response.status_code != 200:
                said = (await response.aread())[:4000]
                if "logprobs" in body and b"logprob" in said and response.status_code != 404:
                    return False
                error = fault_of_status(self._endpoint, response.status_code)
                if response.status_code in (401, 403, 404):
                    raise _LastingFault(error)
                raise error
            is_full = None
            async for line in response.aiter_lines():
                words = line.strip()
                if words == "data: [DONE]":
                    is_full = bool(is_full)
                    break
                if words.startswith("data:"):
                    found = self._take(request_id, words[5:])
                    is_full = is_full if found is None else found
                elif words and not words.startswith((":", "event:", "id:", "retry:")):
                    raise malformed(self._endpoint, "something else than events")
        if is_full is None:
            raise malformed(self._endpoint, "a stream that was cut off")
        self.events.put(Ended(request_id, is_full))
        return True

    def _take(self, request_id: RequestId, words: str) -> bool | None:
        """Pass on one event's text. Whether its limit ended the row, None where it goes on."""
        try:
            event: Any = json.loads(words)
            if "error" in event:
                raise malformed(self._endpoint, "an error in the middle of the stream")
            if not event["choices"]:
                return None  # The last event may hold nothing but a count of tokens.
            choice = event["choices"][0]
            text, reason = str(choice.get("text") or ""), choice.get("finish_reason")
            known = _parse_logprobs(choice.get("logprobs") or {})
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise malformed(self._endpoint, "an event that is none") from None
        if text:
            self.events.put(Written(request_id, text, sum(known) if known else None))
        return None if reason is None else reason == "length"


def _parse_served(listed: list[dict[str, Any]]) -> Served:
    """Models by their ids, and by the aliases that llama.cpp lists beside them."""
    names = [str(name) for each in listed for name in (each["id"], *(each.get("aliases") or ()))]
    owner = listed[0].get("owned_by") if listed else None
    return Served(tuple(dict.fromkeys(names)), None if owner is None else str(owner))


def _parse_logprobs(logprobs: dict[str, Any]) -> list[float]:
    """Of each token: as the interface has them, or as llama.cpp's server writes them."""
    found = logprobs.get("token_logprobs")
    if found is None:
        found = [each["logprob"] for each in logprobs.get("content") or ()]
    return [float(each) for each in found if each is not None]


class _LastingFault(Exception):
    """A fault that the next row would meet too."""

    def __init__(self, error: EndpointError) -> None:
        super().__init__(str(error))
        self.error = error


def _build_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    headers = {} if endpoint.key is None else {"Authorization": f"Bearer {endpoint.key}"}
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(endpoint.timeout_s, connect=min(_CONNECT_S, endpoint.timeout_s)),
        # A proxy between this machine and itself would carry text elsewhere.
        trust_env=not endpoint.is_loopback,
    )


def _transport_fault(endpoint: Endpoint, error: Exception) -> EndpointError:
    if isinstance(error, httpx2.ConnectError):
        return no_answer(endpoint, "none that takes connections")
    if isinstance(error, httpx2.TimeoutException):
        return no_answer(endpoint, f"silence for {endpoint.timeout_s:g} s")
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError):
        return malformed(endpoint, "a stream that was cut off")
    return no_answer(endpoint, type(error).__name__)
