"""The index's process of one project folder, seen from the event loop.

Owns the child and its pipes. Starts it, tells it what changed, hears what it has; a child that
dies costs better suggestions, never an answer. Nothing here reads the project.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["IndexNews", "IndexProcess"]

log = logging.getLogger(__name__)

# Guessed: a child that dies of a passing fault is soon back, one that always dies costs little.
_FIRST_DELAY_S, _MOST_DELAY_S = 1.0, 60.0
_MOST_DEATHS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexNews:
    """What the child says: how far it is, or which folders of tokens there are, or that it is done.

    `share_done` is from 0 to 1, None where that is not what is said.
    """

    share_done: float | None = None
    folders: tuple[Path, ...] | None = None
    is_ready: bool = False


class IndexProcess:
    """Keeps the invariant that at most one child runs, and none after `stop`.

    Where the folder `is_lone`, it is only that of some file, and the child looks for its project.
    """

    def __init__(
        self,
        *,
        root: Path,
        is_lone: bool,
        cache: Path,
        on_news: Callable[[IndexNews], None],
        first_delay_s: float = _FIRST_DELAY_S,
    ) -> None:
        self.root = root
        self._is_lone = is_lone
        self._cache = cache
        self._on_news = on_news
        self._child: _Child | None = None
        self._asked: dict[str, Any] = {}
        self._first_delay_s = first_delay_s
        self._n_deaths = 0
        self._restarting: asyncio.TimerHandle | None = None

    def start(self, model_folder: Path | None, secret_names: Sequence[str] = ()) -> None:
        """Run the child, in place of one that runs. `model_folder` names whose tokens to keep,
        `secret_names` more patterns of files that are never read.

        What was noted before is not told: the child begins by looking at everything.
        """
        self.stop()
        self._n_deaths = 0
        self._asked = {
            "root": str(self.root),
            "is_lone": self._is_lone,
            "cache": str(self._cache),
            "model": None if model_folder is None else str(model_folder),
            "secret_names": list(secret_names),
        }
        self._start_child()

    @property
    def child_id(self) -> int | None:
        """The child's process id; None where none runs."""
        return None if self._child is None else self._child.process_id

    def note_changed(self, paths: Sequence[Path]) -> None:
        """Files of the project have changed, come or gone."""
        changed = [str(path) for path in paths if self._is_lone or path.is_relative_to(self.root)]
        if self._child is not None and changed:
            self._child.send({"changed": changed})

    def stop(self) -> None:
        """End the child, and start none again. Twice is harmless."""
        if self._restarting is not None:
            self._restarting.cancel()
            self._restarting = None
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start_child(self) -> None:
        self._restarting = None
        try:
            self._child = _Child(self._take_news, self._note_death)
        except OSError as error:
            log.warning("no index: %s", type(error).__name__)
            return
        self._child.send(self._asked)

    def _take_news(self, news: IndexNews) -> None:
        if news.is_ready:
            self._n_deaths = 0
        self._on_news(news)

    def _note_death(self, return_code: int) -> None:
        """The child ended by itself. It is started again, each time later, until it has proved
        that it cannot live.
        """
        self._child = None
        self._n_deaths += 1
        if self._n_deaths > _MOST_DEATHS:
            log.warning("the index's process ended with %d once more: it stays away", return_code)
            return
        delay_s = min(_MOST_DELAY_S, self._first_delay_s * 2 ** (self._n_deaths - 1))
        log.warning("the index's process ended with %d: again in %g s", return_code, delay_s)
        loop = asyncio.get_running_loop()
        self._restarting = loop.call_later(delay_s, self._start_child)


class _Child:
    """One child: lines of JSON out and in. Keeps the invariant that nothing is heard after `close`.

    A thread that only moves bytes reads its pipe, as one reads stdin: the way that works on every
    system. It owns nothing else.
    """

    def __init__(
        self, on_news: Callable[[IndexNews], None], on_death: Callable[[int], None]
    ) -> None:
        self._on_news = on_news
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fimble_server.context.indexer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=self._pump, name="fimble-index", daemon=True).start()

    @property
    def process_id(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Write a line. Where nobody reads any more it is lost."""
        assert self._process.stdin is not None, "it was asked for"
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End the child's process at once: what it has written stays whole."""
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None, "it was asked for"
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _pump(self) -> None:
        assert self._process.stdout is not None, "it was asked for"
        with self._process.stdout as lines, contextlib.suppress(RuntimeError, ValueError):
            for line in lines:
                self._loop.call_soon_threadsafe(self._hear, _news_from(json.loads(line)))
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        """The pipe is at its end: the process is too, or has nothing to say any more."""
        if not self._is_closed:
            self.close()
            self._on_death(self._process.returncode)

    def _hear(self, news: IndexNews) -> None:
        if not self._is_closed:
            self._on_news(news)


def _news_from(message: dict[str, Any]) -> IndexNews:
    if "folders" in message:
        return IndexNews(folders=tuple(Path(folder) for folder in message["folders"]))
    if message.get("ready"):
        return IndexNews(is_ready=True, share_done=1.0)
    return IndexNews(share_done=int(message["done"]) / max(1, int(message["all"])))
