"""What the user of one session lately looked at and worked on, and what other tools say of it.

Owns the order of viewing and the newest diagnostics of each file. Runs on the event loop; cheap.
Knows no text but the diagnostics' messages, which are never logged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pygls.exceptions import JsonRpcInvalidParams

from fimble_server.completion.snapshot import EditedBuffer
from fimble_server.context.diagnosed import Diagnostic, names_in_diagnostics
from fimble_server.lsp.open_buffers import OpenBuffer

__all__ = ["Attention", "diagnostics_from_lsp", "last_edited"]

# Guessed: nobody comes back to more.
_MOST_VIEWED, _MOST_EDITED = 32, 4
_MOST_DIAGNOSTICS, _MOST_MESSAGE_CHARS = 100, 500


def diagnostics_from_lsp(params: object) -> tuple[str, tuple[Diagnostic, ...]]:
    """The URI and the complaints in `PublishDiagnosticsParams`, which clients hand on to us.

    Raises `JsonRpcInvalidParams` for what is none.
    """
    match params:
        case {"uri": str(uri), "diagnostics": [*entries]}:
            found = (_try_diagnostic(entry) for entry in entries[:_MOST_DIAGNOSTICS])
            return uri, tuple(each for each in found if each is not None)
        case _:
            raise JsonRpcInvalidParams


def _try_diagnostic(entry: Any) -> Diagnostic | None:
    match entry:
        case {"range": {"start": {"line": int(line)}}, "message": str(message)}:
            return Diagnostic(line, message[:_MOST_MESSAGE_CHARS])
        case _:
            return None


class Attention:
    """Keeps the invariant that a file's place in the order is when it was last looked at."""

    def __init__(self) -> None:
        self._viewed: OrderedDict[str, None] = OrderedDict()
        self._diagnostics: OrderedDict[str, tuple[Diagnostic, ...]] = OrderedDict()

    def note_viewed(self, uri: str) -> None:
        """The user opened, edited or looked at a file."""
        key = unquote(uri)
        self._viewed[key] = None
        self._viewed.move_to_end(key)
        while len(self._viewed) > _MOST_VIEWED:
            self._viewed.popitem(last=False)

    def take_diagnostics(self, uri: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """What other tools say of a file now, in place of what they said before."""
        self._diagnostics.pop(unquote(uri), None)
        if diagnostics:
            self._diagnostics[unquote(uri)] = diagnostics
        while len(self._diagnostics) > _MOST_VIEWED:
            self._diagnostics.popitem(last=False)

    def viewed(self) -> tuple[str, ...]:
        """The files looked at, by their decoded URIs, the last one last; open or not."""
        return tuple(self._viewed)

    def by_viewing(self, others: Mapping[str, OpenBuffer]) -> tuple[OpenBuffer, ...]:
        """Open files in the order of viewing, those never looked at first."""
        seen = [others[key] for key in self._viewed if key in others]
        return (*(other for key, other in others.items() if key not in self._viewed), *seen)

    def names_at(self, uri: str, line: int) -> tuple[str, ...]:
        """The names that complaints near a line of a file speak of."""
        return names_in_diagnostics(self._diagnostics.get(unquote(uri), ()), line)


def last_edited(others: tuple[OpenBuffer, ...]) -> tuple[EditedBuffer, ...]:
    """The files that were edited last, with what happened to each, the last one last."""
    edited = [(other.history.edits[-1].time_ms, other) for other in others if other.history.edits]
    edited.sort(key=lambda each: each[0])
    return tuple(
        EditedBuffer(buffer=other.buffer, history=other.history)
        for _, other in edited[-_MOST_EDITED:]
    )
