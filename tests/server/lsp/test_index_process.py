"""The index's process: one that dies is started again, one that is stopped is not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from fimble_server.lsp.index_process import IndexNews, IndexProcess


async def test_a_child_that_dies_is_started_again_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    ready: asyncio.Queue[None] = asyncio.Queue()

    def hear(news: IndexNews) -> None:
        if news.is_ready:
            ready.put_nowait(None)

    process = IndexProcess(
        root=tmp_path, is_lone=False, cache=tmp_path / ".cache", on_news=hear, first_delay_s=0.0
    )
    process.start(None)
    async with asyncio.timeout(60):
        await ready.get()
        with caplog.at_level(logging.WARNING):
            assert process.child_id is not None
            os.kill(process.child_id, signal.SIGTERM)
            await ready.get()
    assert "the index's process ended" in caplog.text
    process.stop()
    assert process.child_id is None


async def test_a_child_that_always_dies_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    process = IndexProcess(
        root=tmp_path,
        is_lone=False,
        cache=tmp_path,
        on_news=lambda news: None,
        first_delay_s=0.0,
    )
    with caplog.at_level(logging.WARNING):
        process.start(None)
        async with asyncio.timeout(30):
            while "stays away" not in caplog.text:  # noqa: ASYNC110 - it is another process's end
                await asyncio.sleep(0.01)
    assert caplog.text.count("again in") == 6
    process.stop()
