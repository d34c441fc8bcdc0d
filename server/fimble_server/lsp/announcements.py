"""What the server says of itself unasked: status, loading progress, one message a fault.

Owns what one client was told last, so that nothing is said twice. Runs on the event loop;
decides nothing about completions.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Protocol

from lsprotocol import types

from fimble_model import LoadProgress
from fimble_server.errors import FimbleError
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.status_note import StatusNote, plan_status_note

__all__ = ["Announcements", "ClientPort"]

log = logging.getLogger(__name__)

_PROGRESS_TOKEN = "fimble/loading"
_LEAST_STEP_PERCENT = 5


class ClientPort(Protocol):
    """The way to the client, as far as we speak unasked."""

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        ...

    def send_request(self, method: str, params: object) -> Future[object]:
        """Send a request; its future is settled on the event loop."""
        ...


class Announcements:
    """Keeps the invariant that a client hears each change once, and nothing before `start`."""

    def __init__(self, client: ClientPort) -> None:
        self._client = client
        self._is_started = False
        self._shows_progress = False
        self._engine = EngineStatus()
        self._is_enabled = True
        self._settings_error: FimbleError | None = None
        self._is_thinking = False
        self._silence: str | None = None
        self._told_note: StatusNote | None = None
        self._told_errors: set[str] = set()
        self._progress: _LoadingProgress | None = None

    @property
    def note(self) -> StatusNote:
        """What the client would be told now."""
        return plan_status_note(
            engine=self._engine,
            is_enabled=self._is_enabled,
            settings_error=self._settings_error,
            is_thinking=self._is_thinking,
            silence=self._silence,
        )

    def start(self, *, shows_progress: bool) -> None:
        """The client is initialized: from here on it may be spoken to."""
        self._is_started = True
        self._shows_progress = shows_progress
        self._say()

    def take_engine_status(self, status: EngineStatus) -> None:
        """The engine's state changed."""
        self._engine = status
        self._say()

    def take_settings(self, *, is_enabled: bool, error: FimbleError | None) -> None:
        """Settings were taken, or refused with `error`."""
        self._is_enabled = is_enabled
        self._settings_error = error
        self._say()

    def take_silence(self, reason: str | None) -> None:
        """The user wants the whole session silent for now, or no longer."""
        self._silence = reason
        self._say()

    def take_thinking(self, is_thinking: bool) -> None:
        """A request takes long enough to say so, or the last such one is answered."""
        self._is_thinking = is_thinking
        self._say()

    def _say(self) -> None:
        if not self._is_started:
            return
        if self.note != self._told_note:
            self._told_note = self.note
            self._client.notify("didChangeStatus", self.note.to_lsp())
        for error in (self._engine.error, self._settings_error):
            if error is not None:
                self._show_once(error)
        if self._shows_progress:
            self._show_progress()

    def _show_once(self, error: FimbleError) -> None:
        """One message for one fault, however often it is met."""
        if str(error) in self._told_errors:
            return
        self._told_errors.add(str(error))
        log.warning("told the user: %s", error)
        message = types.ShowMessageParams(type=types.MessageType.Error, message=f"Fimble: {error}")
        self._client.notify(types.WINDOW_SHOW_MESSAGE, message)

    def _show_progress(self) -> None:
        is_loading = self._engine.state is EngineState.LOADING
        if is_loading and self._progress is None:
            self._progress = _LoadingProgress(self._client)
        if self._progress is not None:
            self._progress.take(self._engine.progress)
            if not is_loading:
                self._progress.end()
                self._progress = None


class _LoadingProgress:
    """One `$/progress`. Keeps its order: created, begun, reported, ended; or silent where refused.

    The client must have said yes to the token before anything is sent under it.
    """

    def __init__(self, client: ClientPort) -> None:
        self._client = client
        self._has_begun = False
        self._has_ended = False
        self._latest: LoadProgress | None = None
        params = types.WorkDoneProgressCreateParams(token=_PROGRESS_TOKEN)
        created = client.send_request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
        created.add_done_callback(self._begin)

    def take(self, progress: LoadProgress | None) -> None:
        """How far loading has come, where that is known."""
        if progress is None or not self._is_news(progress):
            return
        self._latest = progress
        if self._has_begun:
            self._send(
                types.WorkDoneProgressReport(
                    message=progress.message, percentage=_percent(progress)
                )
            )

    def _is_news(self, progress: LoadProgress) -> bool:
        """A new word, or a step that shows: some editors draw every report."""
        if self._latest is None or progress.message != self._latest.message:
            return True
        return _percent(progress) - _percent(self._latest) >= _LEAST_STEP_PERCENT

    def end(self) -> None:
        """Loading is over, well or badly."""
        self._has_ended = True
        if self._has_begun:
            self._send(types.WorkDoneProgressEnd())

    def _begin(self, created: Future[object]) -> None:
        if self._has_ended or created.cancelled() or created.exception() is not None:
            return
        self._has_begun = True
        self._send(
            types.WorkDoneProgressBegin(
                title="Fimble: loading the model",
                message=self._latest.message if self._latest else None,
                percentage=_percent(self._latest) if self._latest else 0,
            )
        )

    def _send(
        self,
        value: types.WorkDoneProgressBegin
        | types.WorkDoneProgressReport
        | types.WorkDoneProgressEnd,
    ) -> None:
        self._client.notify(
            types.PROGRESS, types.ProgressParams(token=_PROGRESS_TOKEN, value=value)
        )


def _percent(progress: LoadProgress) -> int:
    return round(100 * min(1.0, max(0.0, progress.done)))
