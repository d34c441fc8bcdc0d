"""The buffers that one client has open, and what lately happened to each.

Owns the table from URI to its newest immutable buffer and history. Runs on the event loop and
is cheap: it never parses, reads a disk or keeps an old version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from fimble_server.document.buffers import Buffer, Change, apply_changes
from fimble_server.document.history import History, VerdictKind, note_edits, note_verdict
from fimble_server.document.positions import CharOffset

__all__ = ["OpenBuffer", "OpenBuffers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBuffer:
    """One version of one file, and its past."""

    buffer: Buffer
    history: History = field(default_factory=History)


class OpenBuffers:
    """Keeps the invariant that a buffer is what the client last said it was.

    Clients spell the same URI in several ways (`c%3A` and `c:`), so it is looked up decoded.
    """

    def __init__(self) -> None:
        self._by_uri: dict[str, OpenBuffer] = {}

    def __len__(self) -> int:
        return len(self._by_uri)

    def find(self, uri: str) -> OpenBuffer | None:
        """The newest version; None where the file is not open."""
        return self._by_uri.get(unquote(uri))

    def others(self, uri: str) -> dict[str, OpenBuffer]:
        """All but one by their decoded URIs, the one opened first first."""
        return {key: opened for key, opened in self._by_uri.items() if key != unquote(uri)}

    def open(self, buffer: Buffer) -> None:
        """A file was opened, or opened once more."""
        self._by_uri[unquote(buffer.uri)] = OpenBuffer(buffer=buffer)

    def change(self, uri: str, changes: Sequence[Change], *, version: int, now_ms: float) -> bool:
        """Replace a buffer by the one after `changes`; False where the file is not open."""
        before = self.find(uri)
        if before is None:
            return False
        edited = apply_changes(before.buffer, changes, version)
        history = note_edits(before.history, edited.edits, now_ms)
        self._by_uri[unquote(uri)] = OpenBuffer(buffer=edited.buffer, history=history)
        return True

    def note(self, uri: str, kind: VerdictKind, offset: int, *, now_ms: float) -> None:
        """The user took a suggestion that stood at `offset`."""
        before = self.find(uri)
        if before is not None:
            history = note_verdict(before.history, kind, CharOffset(offset), now_ms)
            self._by_uri[unquote(uri)] = OpenBuffer(buffer=before.buffer, history=history)

    def close(self, uri: str) -> None:
        """A file was closed."""
        self._by_uri.pop(unquote(uri), None)
