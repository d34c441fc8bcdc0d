"""How long a keystroke waits: a real file typed over stdio, key by key, against the server.

Owns the run and its summary. Every key is a `didChange` and an `inlineCompletion` request, and
the next key waits for the answer, so a figure is the whole way: protocol, decision, model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from fimble_eval.editor_client import EditorClient
from fimble_eval.typing_replay import Spot, keystrokes_of, plan_spots
from fimble_server.document.languages import language_for_path
from fimble_server.errors import FimbleError

__all__ = ["LatencyReport", "measure_latency"]

_READY_POLL_S = 0.02
_READY_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """One replay in numbers. Milliseconds are from sending the key to having the answer.

    `reused_token_share` is prompt tokens found in the KV cache over all prompt tokens of the
    requests that reached the model. `first_answer_s` counts from the start of the process to
    the first answer with the model loaded. `resident_mib` is the server's at the end.
    """

    file: str
    model: str
    dtype: str
    device: str
    n_keystrokes: int
    n_shown: int
    p50_ms: float
    p95_ms: float
    worst_ms: float
    model_p50_ms: float
    model_p95_ms: float
    share_without_model: float
    reused_token_share: float
    first_answer_s: float
    resident_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """One measured keystroke: how long, whether the model was asked, whether text was shown."""

    wait_ms: float
    asked_model: bool
    shown: bool


async def measure_latency(
    path: Path,
    *,
    server_arguments: tuple[str, ...] = (),
    n_spots: int = 4,
    n_chars_per_spot: int = 150,
    on_key: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyReport:
    """Type `n_spots` pieces of the file at `path` and report how long each key waited.

    `on_key(done, total)` is called after every key. Raises `FimbleError` where the file holds
    nothing to type or the server's model cannot be loaded.
    """
    text = path.read_text(encoding="utf-8")
    spots = plan_spots(text, n_spots=n_spots, n_chars=n_chars_per_spot)
    if not spots:
        raise FimbleError(
            expected="a source file of a few lines",
            found=f"nothing to type in {path.name}",
            to_do="Name a longer file.",
        )
    language_id = language_for_path(path.name).language_id
    started_s = time.perf_counter()
    async with EditorClient(
        server_arguments, uri=path.absolute().as_uri(), language_id=language_id
    ) as editor:
        editor.open(text)
        first_answer_s = await _wait_for_first_answer(editor, started_s)
        before = await editor.status()
        keys = await _type_spots(editor, text, spots, on_key)
        after = await editor.status()
        resident_bytes = psutil.Process(editor.server_process_id).memory_info().rss
    return _summarise(path, keys, before, after, first_answer_s, resident_bytes)
