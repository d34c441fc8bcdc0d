"""How long a keystroke waits: a real file typed over stdio, key by key, against the server.

Owns the run and its summary. Every key is a `didChange` and an `inlineCompletion` request, and
the next key waits for the answer, so a figure is the whole way: protocol, decision, model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from fimble_eval.editor_client import EditorClient, Explanation
from fimble_eval.typing_replay import Spot, keystrokes_of, plan_spots
from fimble_server.document.languages import language_for_path
from fimble_server.errors import FimbleError

__all__ = ["LatencyReport", "measure_latency"]

_READY_POLL_S = 0.02
_READY_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """One replay in numbers. Milliseconds are from sending the key to having the answer.

    `model_*` are of the keys that reached the model; the rest were answered without it, or
    nothing was wanted there. `reused_token_share` is prompt tokens found in the KV cache over
    all prompt tokens of the requests that reached the model. `first_answer_s` counts from the
    start of the process to the first answer of the model. `resident_mib` is the server's at
    the end.
    """

    file: str
    model: str
    dtype: str
    n_keystrokes: int
    n_shown: int
    p50_ms: float
    p95_ms: float
    worst_ms: float
    model_p50_ms: float
    model_p95_ms: float
    share_by_model: float
    reused_token_share: float
    first_answer_s: float
    resident_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """One measured keystroke. `explanation` is what the server says of its request."""

    wait_ms: float
    explanation: Explanation


async def measure_latency(
    *,
    name: str,
    uri: str,
    text: str,
    server_arguments: tuple[str, ...] = (),
    n_spots: int = 4,
    n_chars_per_spot: int = 150,
    on_key: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyReport:
    """Type `n_spots` pieces of a file's `text` and report how long each key waited.

    `on_key(done, total)` is called after every key. Raises `FimbleError` where the file holds
    nothing to type or the server's model cannot be loaded.
    """
    spots = plan_spots(text, n_spots=n_spots, n_chars=n_chars_per_spot)
    if not spots:
        raise FimbleError(
            expected="a source file of a few lines",
            found=f"nothing to type in {name}",
            to_do="Name a longer file.",
        )
    language_id = language_for_path(name).language_id
    started_s = time.perf_counter()
    async with EditorClient(server_arguments, uri=uri, language_id=language_id) as editor:
        editor.open(text)
        await _wait_for_model(editor)
        await editor.suggest(spots[0].start)
        first_answer_s = time.perf_counter() - started_s
        keys = await _type_spots(editor, spots, on_key)
        resident_bytes = psutil.Process(editor.server_process_id).memory_info().rss
    return _summarise(
        name, keys, first_answer_s=first_answer_s, resident_mib=round(resident_bytes / 2**20)
    )


async def _wait_for_model(editor: EditorClient) -> None:
    """Return once the model is there; raise `FimbleError` where it never will be."""
    deadline_s = time.perf_counter() + _READY_LIMIT_S
    while (status := await editor.status()).state != "ready":
        if status.state == "failed" or time.perf_counter() > deadline_s:
            raise FimbleError(
                expected="a model that loads",
                found=f"the state {status.state!r}",
                to_do="Run `fimble check` with the same model.",
            )
        await asyncio.sleep(_READY_POLL_S)


async def _type_spots(
    editor: EditorClient, spots: Sequence[Spot], on_key: Callable[[int, int], None]
) -> list[_Key]:
    """Cut each spot out of the file, then type it back, asking after every key."""
    n_keys = sum(sum(1 for _ in keystrokes_of(spot)) for spot in spots)
    keys: list[_Key] = []
    for spot in spots:
        editor.replace(spot.start, spot.start + len(spot.text), "")
        for key in keystrokes_of(spot):
            sent_s = time.perf_counter()
            editor.type_key(key)
            await editor.suggest(key.offset + len(key.inserted))
            wait_ms = (time.perf_counter() - sent_s) * 1000
            keys.append(_Key(wait_ms=wait_ms, explanation=await editor.explain()))
            on_key(len(keys), n_keys)
    return keys


def _summarise(
    name: str, keys: Sequence[_Key], *, first_answer_s: float, resident_mib: int
) -> LatencyReport:
    """Medians and shares over all keys, and over those that reached the model."""
    by_model = [key for key in keys if key.explanation.source == "model"]
    n_prompt_tokens = sum(key.explanation.n_prompt_tokens for key in by_model)
    n_reused_tokens = sum(key.explanation.n_reused_tokens for key in by_model)
    waits_ms = [key.wait_ms for key in keys]
    model_waits_ms = [key.wait_ms for key in by_model] or [0.0]
    return LatencyReport(
        file=name,
        model=keys[-1].explanation.model,
        dtype=keys[-1].explanation.dtype,
        n_keystrokes=len(keys),
        n_shown=sum(key.explanation.n_shown > 0 for key in keys),
        p50_ms=_percentile(waits_ms, 50),
        p95_ms=_percentile(waits_ms, 95),
        worst_ms=_percentile(waits_ms, 100),
        model_p50_ms=_percentile(model_waits_ms, 50),
        model_p95_ms=_percentile(model_waits_ms, 95),
        share_by_model=round(len(by_model) / len(keys), 3),
        reused_token_share=round(n_reused_tokens / max(1, n_prompt_tokens), 4),
        first_answer_s=round(first_answer_s, 2),
        resident_mib=resident_mib,
    )


def _percentile(values_ms: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(values_ms, percent)), 2)
