"""A completions server over loopback, in OpenAI's form: it writes what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FakeCompletions", "serve_completions"]


@dataclass
class FakeCompletions:
    """What it writes, and what is to go wrong. `bodies` is what was asked, `keys` with what key.

    With `holds` a stream waits after its first piece, until its reader is gone; `n_gone` counts
    those. `status` is answered instead of a stream; `raw_lines` are sent instead of events. A
    prompt that holds a key of `answers` is answered with its value. `listed` is said of the model
    besides its name.
    """

    url: str = ""
    model: str = "coder"
    pieces: tuple[str, ...] = ("left", " + ", "right")
    logprobs: tuple[float, ...] | None = (-0.1, -0.2, -0.3)
    status: int | None = None
    refuses_logprobs: bool = False
    lists_models: bool = True
    raw_lines: tuple[str, ...] | None = None
    answers: dict[str, str] = field(default_factory=dict)
    listed: dict[str, object] = field(default_factory=dict)
    writes_as_llama_cpp: bool = False
    is_cut: bool = False
    holds: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    gone: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_completions() -> Iterator[FakeCompletions]:
    """A server that answers while the context lasts."""
    fake = FakeCompletions()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_GET(self) -> None:
            fake.keys.append(self.headers.get("Authorization"))
            if fake.status in (401, 403):
                self._answer(fake.status, b"{}")
            elif self.path == "/v1/models" and fake.lists_models:
                self._answer(
                    200, json.dumps({"data": [{"id": fake.model, **fake.listed}]}).encode()
                )
            else:
                self._answer(404, b"{}")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.bodies.append(body)
            fake.keys.append(self.headers.get("Authorization"))
            if fake.status is not None:
                self._answer(fake.status, b'{"error": "' + body["prompt"].encode()[:99] + b'"}')
            elif fake.refuses_logprobs and "logprobs" in body:
                self._answer(400, b'{"error": "logprobs are not supported"}')
            else:
                self._stream(body)

        def _answer(self, status: int, written: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def _stream(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            holds = fake.holds  # As it is when asked: it may change before a piece is read.
            try:
                for line in _lines(fake, body):
                    self.wfile.write(line.encode() + b"\n\n")
                    self.wfile.flush()
                    if holds:
                        # Until the reader hangs up: an empty read, and no sooner.
                        self.connection.recv(1)
                        fake.gone.release()
                        return
            except ConnectionError:
                fake.gone.release()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _lines(fake: FakeCompletions, body: dict[str, Any]) -> Iterator[str]:
    if fake.raw_lines is not None:
        yield from fake.raw_lines
        return
    known = [(text,) for words, text in fake.answers.items() if words in body["prompt"]]
    for index, piece in enumerate((*known, fake.pieces)[0]):
        choice: dict[str, Any] = {"text": piece, "index": 0, "finish_reason": None}
        if "logprobs" in body and fake.logprobs is not None:
            logprob = fake.logprobs[index % len(fake.logprobs)]
            choice["logprobs"] = {"token_logprobs": [logprob]}
            if fake.writes_as_llama_cpp:
                choice["logprobs"] = {"content": [{"token": piece, "logprob": logprob}]}
        yield "data: " + json.dumps({"choices": [choice]})
    if not fake.is_cut:
        yield "data: " + json.dumps({"choices": [{"text": "", "finish_reason": "stop"}]})
        yield "data: [DONE]"
