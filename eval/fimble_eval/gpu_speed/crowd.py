"""A thousand typists at one request a second each, in an open loop: late answers delay nobody.

Owns the schedule and the counting. In one process, without the language server: what that adds is
measured by `fimble-eval engine`'s typists.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

from fimble_eval.engine_speed.rows import PartResult, at_most, percentile
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_eval.gpu_speed.shapes import build_engine
from fimble_eval.gpu_speed.timing import new_request, random_ids, run_timed
from fimble_model.engine.protocol import Engine, FinishReason

__all__ = ["measure_crowd"]

_N_NEW_TOKENS = 8
_DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowd:
    """So many typists, each with a prompt of its own, for so many seconds."""

    n_typists: int
    n_prompt: int
    seconds: float


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Keeps each request's due moment until it is answered, in seconds since the start."""

    due_s: dict[str, float] = field(default_factory=dict)
    waits_ms: list[float] = field(default_factory=list)
    n_lost: int = 0


def measure_crowd(options: GpuOptions) -> PartResult:
    """The wait from when a request was due to its whole answer, and how many got none."""
    crowd = _Crowd(n_typists=1000, n_prompt=256, seconds=12.0)
    if options.is_rehearsal:
        crowd = _Crowd(n_typists=4, n_prompt=16, seconds=0.5)
    engine = build_engine("1.5b", options, n_most_rows=256)
    vocabulary_size = engine.model.vocabulary_size
    n_texts = crowd.n_prompt + int(crowd.seconds) + 2
    texts = [random_ids(n_texts, vocabulary_size, seed) for seed in range(crowd.n_typists)]
    run_timed(
        engine,
        [
            new_request(f"open-{i}", text[: crowd.n_prompt], 1, owner=f"typist-{i}")
            for i, text in enumerate(texts)
        ],
    )
    tally = _run_open_loop(engine, crowd, texts)
    n_answers = len(tally.waits_ms)
    p95_ms = percentile(tally.waits_ms, 95)
    middle = f"p50 {percentile(tally.waits_ms, 50):.1f} ms, p99 "
    note = f"{n_answers} answers, {middle}{percentile(tally.waits_ms, 99):.1f} ms"
    name = f"{crowd.n_typists} typists at one request a second, 1.5b"
    rows = [
        at_most(100.0, f"{name}: p95", "ms", round(p95_ms, 2), note=note),
        at_most(0.0, f"{name}: lost", "requests", tally.n_lost),
    ]
    return PartResult(rows=tuple(rows), details={"n_answers": n_answers, "n_lost": tally.n_lost})


def _run_open_loop(engine: Engine, crowd: _Crowd, texts: list[list[int]]) -> _Tally:
    """Typist i is due at i / n and every second from there; each key lengthens its text by one."""
    due = [(index / crowd.n_typists, index, 1) for index in range(crowd.n_typists)]
    heapq.heapify(due)
    tally, started_s = _Tally(), time.perf_counter()
    while due or engine.has_work:
        now_s = time.perf_counter() - started_s
        if now_s > crowd.seconds + _DRAIN_S:
            break
        while due and due[0][0] <= now_s:
            due_s, index, key = heapq.heappop(due)
            name = f"{index}-{key}"
            prompt = texts[index][: crowd.n_prompt + key]
            engine.add(new_request(name, prompt, _N_NEW_TOKENS, owner=f"typist-{index}"))
            tally.due_s[name] = due_s
            if due_s + 1.0 < crowd.seconds:
                heapq.heappush(due, (due_s + 1.0, index, key + 1))
        for delta in engine.step() if engine.has_work else ():
            if delta.finish is not None:
                wait_ms = (time.perf_counter() - started_s) - tally.due_s.pop(delta.request_id)
                if delta.finish.reason in (FinishReason.LENGTH, FinishReason.END_TOKEN):
                    tally.waits_ms.append(wait_ms * 1000)
                else:
                    tally.n_lost += 1
    tally.n_lost += len(tally.due_s)
    return tally
