"""Where one client's session asks for nothing, and why: its settings, secret files, its user.

Owns the session's newest table of silences and the commands that change it; tells the status
line of each change. Runs on the event loop, which it asks to look again when a silence is over.
"""

from __future__ import annotations

import asyncio

from fimble_model.engine.protocol import Clock
from fimble_server.context.secret_files import find_secrecy_of_uri
from fimble_server.lsp.announcements import Announcements
from fimble_server.lsp.open_buffers import OpenBuffer
from fimble_server.lsp.silences import Silences, silence_request_from_lsp
from fimble_server.settings import Settings

__all__ = ["Quiet", "find_settled_silence"]


def find_settled_silence(opened: OpenBuffer | None, settings: Settings) -> str | None:
    """Why nothing is ever asked for a file, in words for its user; None where it is.

    Such a file is not copied from either.
    """
    completion = settings.completion
    if opened is None:
        return "the file is not open"
    if not completion.enabled:
        return "completion.enabled is false"
    language_id = opened.buffer.language_id
    if language_id in completion.disabled_languages:
        return f"completion.disabled_languages names {language_id}"
    return find_secrecy_of_uri(opened.buffer.uri, settings.context.secret_files)


class Quiet:
    """Keeps the invariant that the status line knows of the session's silence as it is now."""

    def __init__(self, *, announcements: Announcements, clock: Clock) -> None:
        self._announcements = announcements
        self._clock = clock
        self._silences = Silences()

    def find_silence(self, opened: OpenBuffer | None, settings: Settings) -> str | None:
        """Why a file is silent now, for good or for a while; None where it is not."""
        return find_settled_silence(opened, settings) or self._find_snooze(opened)

    def snooze(self, arguments: object) -> list[dict[str, object]]:
        """Be silent in a file, a language or everywhere, for some minutes or until `wake`.

        Raises `JsonRpcInvalidParams` where `arguments` make no sense, as its siblings do.
        """
        request = silence_request_from_lsp(arguments)
        silences = self._silences.with_silence(request, self._clock.now_ms())
        if request.minutes is not None:  # The status says by itself when it is over.
            loop = asyncio.get_running_loop()
            loop.call_later(request.minutes * 60 + 1, self._take, None)
        return self._take(silences)

    def wake(self, arguments: object) -> list[dict[str, object]]:
        """Lift a silence; that of the session lifts all."""
        scope = silence_request_from_lsp(arguments).scope
        return self._take(self._silences.without(scope))

    def toggle(self, arguments: object) -> list[dict[str, object]]:
        """Silence what is not silent, and the other way round."""
        scope = silence_request_from_lsp(arguments).scope
        is_silent = self._silences.is_silent(scope, self._clock.now_ms())
        return self.wake(arguments) if is_silent else self.snooze(arguments)

    def to_lsp(self) -> list[dict[str, object]]:
        """What the user has silenced now, for `fimble/status` and the commands' answers."""
        return self._silences.to_lsp(self._clock.now_ms())

    def _find_snooze(self, opened: OpenBuffer | None) -> str | None:
        """Until when the user wants silence in a file, in words; None where there is none.

        Unlike what the settings silence, such a file may still be copied from.
        """
        if opened is None:
            return None
        buffer = opened.buffer
        return self._silences.reason(
            uri=buffer.uri, language_id=buffer.language_id, now_ms=self._clock.now_ms()
        )

    def _take(self, silences: Silences | None) -> list[dict[str, object]]:
        """Take a new table, or look at the one there is once more; what is silent now."""
        now_ms = self._clock.now_ms()
        self._silences = self._silences if silences is None else silences
        self._announcements.take_silence(self._silences.session_reason(now_ms))
        return self._silences.to_lsp(now_ms)
