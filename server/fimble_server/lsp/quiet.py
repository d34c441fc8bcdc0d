"""Where one client's session asks for nothing, and why: its settings, secret files, its user.

Owns the session's newest table of silences, beside the one that all sessions of the process share,
and the commands that change them; tells the status line and the client of each change. Runs on the
event loop, which it asks to look again when a silence is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fimble_model.engine.protocol import Clock
from fimble_server.context.secret_files import find_secrecy_of_uri
from fimble_server.lsp.announcements import Announcements, ClientPort
from fimble_server.lsp.open_buffers import OpenBuffer
from fimble_server.lsp.silences import Silences, silence_request_from_lsp
from fimble_server.settings import Settings

__all__ = ["Quiet", "SharedSilences", "find_settled_silence"]


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


class SharedSilences:
    """Keeps the invariant that every session hears of what one silenced for all."""

    def __init__(self) -> None:
        self.silences = Silences()
        self._listeners: set[Callable[[], None]] = set()

    def take(self, silences: Silences) -> None:
        """Take a new table, and say so."""
        self.silences = silences
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` at each change, until what is given back is called."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)


class Quiet:
    """Keeps the invariant that the status line knows of the session's silence as it is now.

    Where `tells_client`, the client hears all that is silent after each change.
    """

    def __init__(
        self,
        announcements: Announcements,
        client: ClientPort,
        clock: Clock,
        shared: SharedSilences,
    ) -> None:
        self._announcements = announcements
        self._client = client
        self._clock = clock
        self._own = Silences()
        self._shared = shared
        self.tells_client = False
        self.stop = shared.listen(self._look)

    def find_silence(self, opened: OpenBuffer | None, settings: Settings) -> str | None:
        """Why a file is silent now, for good or for a while; None where it is not."""
        return find_settled_silence(opened, settings) or self._find_snooze(opened)

    def snooze(self, arguments: object) -> list[dict[str, object]]:
        """Be silent in a file, a language or everywhere, for some minutes or until `wake`.

        Raises `JsonRpcInvalidParams` where `arguments` make no sense, as its siblings do.
        """
        request = silence_request_from_lsp(arguments)
        now_ms = self._clock.now_ms()
        if request.is_shared:
            self._shared.take(self._shared.silences.with_silence(request, now_ms))
        else:
            self._own = self._own.with_silence(request, now_ms)
            self._look()
        return self.to_lsp()

    def wake(self, arguments: object) -> list[dict[str, object]]:
        """Lift a silence, whoever wanted it; that of the session lifts all."""
        scope = silence_request_from_lsp(arguments).scope
        self._own = self._own.without(scope)
        self._shared.take(self._shared.silences.without(scope))
        return self.to_lsp()

    def toggle(self, arguments: object) -> list[dict[str, object]]:
        """Silence what is not silent, and the other way round."""
        scope = silence_request_from_lsp(arguments).scope
        is_silent = self._silences.is_silent(scope, self._clock.now_ms())
        return self.wake(arguments) if is_silent else self.snooze(arguments)

    def to_lsp(self) -> list[dict[str, object]]:
        """What the user has silenced now, for `fimble/status` and the commands' answers."""
        return self._silences.to_lsp(self._clock.now_ms())

    @property
    def _silences(self) -> Silences:
        return self._own.joined(self._shared.silences)

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

    def _look(self) -> None:
        """Say what is silent now, and again when the next of it is over."""
        now_ms = self._clock.now_ms()
        self._announcements.take_silence(self._silences.session_reason(now_ms))
        silent = self.to_lsp()
        if self.tells_client:
            self._client.notify("fimble/didChangeSilences", {"silences": silent})
        ends_s = [float(str(each["seconds_left"])) for each in silent if each["seconds_left"]]
        if ends_s:
            asyncio.get_running_loop().call_later(min(ends_s) + 1, self._look)
