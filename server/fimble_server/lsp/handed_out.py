"""The suggestions that were sent to one client, and what it says became of them.

Owns the way from a suggestion's id back to its file. Bounded: an editor that never says a word
costs nothing. What a verdict means is for the history and the mode heuristic to decide.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import NamedTuple

from fimble_server.completion.answer import Suggestion
from fimble_server.document.history import VerdictKind
from fimble_server.document.positions import PositionUnit, column_to_chars
from fimble_server.lsp.open_buffers import OpenBuffers

__all__ = ["HandedOut"]

log = logging.getLogger(__name__)

# Guessed: an editor tells of a suggestion while it is on the screen or just was.
_MAX_SUGGESTIONS = 256


class _Handed(NamedTuple):
    uri: str
    suggestion: Suggestion


class HandedOut:
    """Keeps the newest suggestions by id. Unknown ids are ignored: they may be long gone."""

    def __init__(self, buffers: OpenBuffers) -> None:
        self._buffers = buffers
        self._by_id: OrderedDict[str, _Handed] = OrderedDict()

    def add(self, uri: str, suggestion: Suggestion) -> None:
        """A suggestion goes out."""
        self._by_id[suggestion.suggestion_id] = _Handed(uri, suggestion)
        self._by_id.move_to_end(suggestion.suggestion_id)
        while len(self._by_id) > _MAX_SUGGESTIONS:
            self._by_id.popitem(last=False)

    def note_shown(self, suggestion_id: str) -> None:
        """It is on the screen."""
        log.debug("shown=%s known=%s", suggestion_id, suggestion_id in self._by_id)

    def note_accepted(self, suggestion_id: str, *, now_ms: float) -> None:
        """The user took all of it."""
        handed = self._by_id.pop(suggestion_id, None)
        if handed is None:
            return
        end = handed.suggestion.start + len(handed.suggestion.text)
        self._buffers.note(handed.uri, VerdictKind.ACCEPTED, end, now_ms=now_ms)
        log.info("accepted=%s chars=%d", suggestion_id, len(handed.suggestion.text))

    def note_partially_accepted(self, suggestion_id: str, *, n_utf16: int, now_ms: float) -> None:
        """The user took its beginning, `n_utf16` units from the item's start."""
        handed = self._by_id.get(suggestion_id)
        if handed is None:
            return
        n_chars = column_to_chars(handed.suggestion.text, n_utf16, PositionUnit.UTF16)
        end = handed.suggestion.start + n_chars
        self._buffers.note(handed.uri, VerdictKind.PARTIALLY_ACCEPTED, end, now_ms=now_ms)
        log.info("partially accepted=%s chars=%d", suggestion_id, n_chars)
