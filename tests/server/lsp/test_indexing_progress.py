"""The progress of indexing: begun once, never backwards, always ended; silent where not wanted."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from lsprotocol import types

from fimble_server.lsp.indexing_progress import IndexingProgress


class _Client:
    """Notes what it is told; answers requests when the test says so."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked: list[Future[object]] = []

    def notify(self, method: str, params: Any) -> None:
        assert method == types.PROGRESS
        value = params.value
        self.told.append(f"{value.kind} {getattr(value, 'percentage', None)}")

    def send_request(self, method: str, params: Any) -> Future[Any]:
        assert method == types.WINDOW_WORK_DONE_PROGRESS_CREATE
        self.asked.append(Future())
        return self.asked[-1]


def test_it_is_begun_reported_in_steps_and_ended() -> None:
    client = _Client()
    progress = IndexingProgress(client)
    progress.is_shown = True
    progress.take(0.01)
    progress.take(0.3)
    assert client.told == []
    client.asked[0].set_result(None)
    for share in (0.3, 0.31, 0.6, 1.0):
        progress.take(share)
    progress.end()
    progress.end()
    assert len(client.asked) == 1
    assert client.told == ["begin 0", "report 30", "report 60", "end None"]


def test_a_client_that_cannot_or_will_not_show_it_hears_nothing() -> None:
    silent, refusing = _Client(), _Client()
    IndexingProgress(silent).take(0.5)
    progress = IndexingProgress(refusing)
    progress.is_shown = True
    progress.take(0.1)
    refusing.asked[0].set_exception(ValueError("no"))
    progress.take(0.5)
    progress.end()
    assert silent.asked == []
    assert silent.told == refusing.told == []


def test_what_was_over_before_it_was_begun_is_not_begun() -> None:
    client = _Client()
    progress = IndexingProgress(client)
    progress.is_shown = True
    progress.take(0.1)
    progress.end()
    client.asked[0].set_result(None)
    assert client.told == []
