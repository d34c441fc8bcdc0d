"""The index's own process: one project, from a line of JSON on stdin until stdin ends.

Owns the loop. A process and not a thread, because reading and tokenizing thousands of files
would hold the interpreter's lock that keystrokes need, and because what it leaves behind in
memory goes when it ends. It has no window to the network and writes only to the user's cache.

In:   {"root": PATH, "is_lone": whether it is but some file's folder, "cache": PATH,
       "model": PATH or null, "secret_names": [PATTERN, ...]}, then {"changed": [PATH, ...]}
Out:  {"done": N, "all": N}, {"folders": [PATH, ...]}, {"ready": true}
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from fimble_model.freeing import give_back_memory
from fimble_server.context.cache_cleaning import clear_stale
from fimble_server.context.indexing import (
    IndexPlaces,
    ProjectIndex,
    Step,
    open_index,
    places_for,
    try_lock,
)
from fimble_server.context.project_files import find_root
from fimble_server.context.token_store import read_folders

__all__ = ["main"]

# How often what no editor told of is looked for: another program's changes.
_LOOK_AROUND_S = 20.0
_LEAST_REPORT_S = 0.2
# How often is looked whether another server's process has ended.
_TURN_S = 2.0


def main() -> None:
    """Keep one project's index up to date until stdin ends."""
    _be_nice()
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    root, cache = Path(asked["root"]), Path(asked["cache"])
    if asked.get("is_lone"):
        root = find_root(root / "x")
    changed: queue.SimpleQueue[list[Path] | None] = queue.SimpleQueue()
    # This process may have a thread: nobody waits for its lock.
    threading.Thread(target=_read_lines, args=(sys.stdin.buffer, changed), daemon=True).start()
    model_folder = None if asked["model"] is None else Path(asked["model"])
    lock = _wait_for_turn(places_for(cache, root), model_folder, changed)
    if lock is None:
        return
    index = open_index(root, cache, model_folder, tuple(asked.get("secret_names", ())))
    _say_folders(index)
    _follow(index, index.update_all())
    _say({"ready": True})
    clear_stale(cache, keep=[places_for(cache, root).folder], now_s=time.time())
    while True:
        try:
            paths = changed.get(timeout=_LOOK_AROUND_S)
        except queue.Empty:
            _follow(index, index.update_all(), is_silent=True)
            continue
        if paths is None:
            index.close()
            return
        _follow(index, index.update(paths), is_silent=True)


def _follow(index: ProjectIndex, steps: Iterable[Step], *, is_silent: bool = False) -> None:
    """Take the steps and say how far they have come."""
    last_said_s = 0.0
    for step in steps:
        if step.has_new_tokens:
            _say_folders(index)
        now_s = time.monotonic()
        if not is_silent and now_s - last_said_s >= _LEAST_REPORT_S:
            last_said_s = now_s
            _say({"done": step.n_done, "all": step.n_all})
    give_back_memory()


def _say_folders(index: ProjectIndex) -> None:
    if index.tokens is not None:
        _say({"folders": [str(folder) for folder in index.tokens.folders]})


def _say(message: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _read_lines(stdin: BinaryIO, changed: queue.SimpleQueue[list[Path] | None]) -> None:
    for line in stdin:
        changed.put([Path(path) for path in json.loads(line)["changed"]])
    changed.put(None)


def _wait_for_turn(
    places: IndexPlaces, model_folder: Path | None, changed: queue.SimpleQueue[list[Path] | None]
) -> sqlite3.Connection | None:
    """Be the only process that writes this project's index; None where stdin ends before.

    Meanwhile another server's process writes it, and what that has is told as it comes.
    """
    said: tuple[Path, ...] = ()
    while True:
        lock = try_lock(places.lock)
        if lock is not None:
            return lock
        folders = read_folders(places.folder, model_folder)
        if folders != said:
            said = folders
            _say({"folders": [str(folder) for folder in folders]})
        try:
            if changed.get(timeout=_TURN_S) is None:
                return None
        except queue.Empty:
            continue


def _be_nice() -> None:
    """Let whoever types go first."""
    if hasattr(os, "nice"):
        os.nice(10)
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


if __name__ == "__main__":
    main()
