"""The `$/progress` of indexing: begun where it takes a while, ended when it is done.

Owns one token. Shows nothing where the client cannot, or where all is known already.
"""

from __future__ import annotations

from concurrent.futures import Future

from lsprotocol import types

from fimble_server.lsp.announcements import ClientPort

__all__ = ["IndexingProgress"]

_TOKEN = "fimble/indexing"
_LEAST_STEP_PERCENT = 5


class IndexingProgress:
    """Keeps the order: created, begun, reported, ended; or silent where it is refused."""

    def __init__(self, client: ClientPort) -> None:
        self._client = client
        self.is_shown = False
        self._is_asked = False
        self._has_begun = False
        self._percent = 0

    def take(self, share_done: float) -> None:
        """How far it is, from 0 to 1."""
        percent = round(100 * share_done)
        if not self.is_shown or percent >= 100:
            return
        if not self._is_asked:
            self._is_asked = True
            params = types.WorkDoneProgressCreateParams(token=_TOKEN)
            created = self._client.send_request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
            created.add_done_callback(self._begin)
        elif self._has_begun and percent - self._percent >= _LEAST_STEP_PERCENT:
            self._percent = percent
            self._send(types.WorkDoneProgressReport(percentage=percent))

    def end(self) -> None:
        """It is done, or nobody waits for it any more."""
        if self._has_begun:
            self._send(types.WorkDoneProgressEnd())
        self._is_asked = self._has_begun = False
        self._percent = 0

    def _begin(self, created: Future[object]) -> None:
        if not self._is_asked or created.cancelled() or created.exception() is not None:
            return
        self._has_begun = True
        self._send(types.WorkDoneProgressBegin(title="Fimble: reading the project", percentage=0))

    def _send(
        self,
        value: types.WorkDoneProgressBegin
        | types.WorkDoneProgressReport
        | types.WorkDoneProgressEnd,
    ) -> None:
        self._client.notify(types.PROGRESS, types.ProgressParams(token=_TOKEN, value=value))
