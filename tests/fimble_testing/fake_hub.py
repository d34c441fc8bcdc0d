"""A hub of models over loopback, as far as fetching one needs it: no network is asked.

Serves folders as repositories of one revision. It can be told to cut a file off, to damage it, to
hold a repository back, or to answer with an error.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["FakeHub", "serve_hub"]

# Larger files are kept by checksum, as the hub keeps them.
_LARGE_BYTES = 1000


@dataclass
class FakeHub:
    """The repositories by their names, and what is to go wrong. `requests` is what was asked.

    `cut_after_bytes` is how much of a file each answer holds, `stuck_at_byte` where every answer
    ends, `status_of` what is answered for a repository or file, `n_parameters` what it is said to
    have.
    """

    endpoint: str = ""
    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut_after_bytes: dict[str, int] = field(default_factory=dict)
    stuck_at_byte: dict[str, int] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    status_of: dict[str, int] = field(default_factory=dict)
    n_parameters: dict[str, int] = field(default_factory=dict)
    licence: str = "apache-2.0"
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def reset(self) -> None:
        """Nothing goes wrong any more, and nothing was asked."""
        for each in (self.gated, self.damaged, self.cut_after_bytes):
            each.clear()
        for held in (self.stuck_at_byte, self.status_of, self.n_parameters, self.requests):
            held.clear()

    def commit_of(self, repository: str) -> str:
        """The one revision of a repository."""
        return hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()

    def describe(self, repository: str) -> dict[str, object]:
        """What the hub's interface says of a repository."""
        folder = self.repositories[repository]
        siblings = []
        for path in sorted(folder.iterdir()):
            written = path.read_bytes()
            sibling: dict[str, object] = {
                "rfilename": path.name,
                "size": len(written),
                "blobId": _git_sha1(written),
            }
            if len(written) > _LARGE_BYTES:
                sha256 = hashlib.sha256(written).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(written), "pointerSize": 130}
            siblings.append(sibling)
        counted = self.n_parameters.get(repository)
        weights = {} if counted is None else {"parameters": {"BF16": counted}, "total": counted}
        return {
            "_id": "0",
            "safetensors": weights or None,
            "id": repository,
            "modelId": repository,
            "sha": self.commit_of(repository),
            "private": False,
            "gated": "manual" if repository in self.gated else False,
            "tags": [],
            "cardData": {"license": self.licence},
            "siblings": siblings,
        }


def _git_sha1(written: bytes) -> str:
    """The checksum that Git knows a small file by."""
    return hashlib.sha1(b"blob %d\0" % len(written) + written, usedforsecurity=False).hexdigest()


@contextmanager
def serve_hub() -> Iterator[FakeHub]:
    """A hub that answers while the context lasts."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            words = path.strip("/").split("/")
            if words[:2] == ["api", "models"]:
                self._describe("/".join(words[2:4]), words[5] if len(words) > 5 else None)
            elif len(words) >= 5 and words[2] == "resolve":
                self._send_file("/".join(words[:2]), "/".join(words[4:]))
            else:
                self._refuse(404, "EntryNotFound")

        def _describe(self, repository: str, revision: str | None) -> None:
            if repository in hub.status_of:
                self._refuse(
                    hub.status_of[repository], "", "Invalid credentials in Authorization header"
                )
            elif repository not in hub.repositories:
                self._refuse(404, "RepoNotFound")
            elif revision not in (None, "main", hub.commit_of(repository)):
                self._refuse(404, "RevisionNotFound")
            else:
                self._send(200, json.dumps(hub.describe(repository)).encode(), {})

        def _send_file(self, repository: str, name: str) -> None:
            if repository in hub.gated:
                self._refuse(403, "GatedRepo")
                return
            if name in hub.status_of:
                self._refuse(hub.status_of[name], "")
                return
            written = (hub.repositories[repository] / name).read_bytes()
            kept = hashlib.sha256(written) if len(written) > _LARGE_BYTES else None
            etag = kept.hexdigest() if kept else _git_sha1(written)
            if name in hub.damaged:
                written = bytes(len(written))
            start = 0
            if wanted := self.headers.get("Range"):
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit_of(repository)}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(written) - 1}/{len(written)}"
            cut = hub.cut_after_bytes.get(name)
            if name in hub.stuck_at_byte:
                cut = max(0, hub.stuck_at_byte[name] - start)
            self._send(206 if start else 200, written[start:], headers, cut)

        def _refuse(self, status: int, code: str, message: str = "") -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": message}
            self._send(status, b"{}", {name: said for name, said in headers.items() if said})

        def _send(
            self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if cut is None or cut >= len(body):
                self.wfile.write(body)
            else:
                self.wfile.write(body[:cut])
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
