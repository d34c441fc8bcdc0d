"""What the project memory costs: its size, a lookup and an edit, on Python's own library.

Owns that one measurement. Reads files that every Python brings; needs no model but a tokenizer.
"""

from __future__ import annotations

import random
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fimble_model.engine.memory import ProjectMemory
from fimble_model.engine.protocol import TokenId

__all__ = ["MemorySpeed", "measure_speed"]

_MOST_FILES = 2_000
_N_LOOKUPS, _N_EDITS = 2_000, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySpeed:
    """`build_s` is for all files together; an edit changes one line of one of them."""

    n_files: int
    n_chars: int
    n_tokens: int
    index_mib: float
    build_s: float
    find_p50_us: float
    find_p95_us: float
    edit_p50_ms: float
    edit_p95_ms: float


def measure_speed(encode: Callable[[str], Sequence[TokenId]]) -> MemorySpeed:
    """Fill a memory with the library's files, then look up and edit."""
    library = Path(sysconfig.get_paths()["stdlib"])
    texts: dict[str, str] = {}
    for path in sorted(library.rglob("*.py"))[:_MOST_FILES]:
        if "site-packages" not in path.parts:
            texts[str(path)] = path.read_text(encoding="utf-8", errors="replace")
    memory = ProjectMemory(encode)
    started_s = time.perf_counter()
    for key, text in texts.items():
        memory.remember(key, text)
    build_s = time.perf_counter() - started_s
    rng = random.Random(0)
    finds_us = _time_lookups(memory, encode, list(texts.values()), rng)
    edits_ms = _time_edits(memory, texts, rng)
    segments = memory.view().segments
    return MemorySpeed(
        n_files=len(memory.keys),
        n_chars=sum(len(texts[key]) for key in memory.keys),
        n_tokens=sum(segment.n_tokens for segment in segments),
        index_mib=round(memory.n_bytes / 2**20, 1),
        build_s=round(build_s, 2),
        find_p50_us=round(float(np.percentile(finds_us, 50)), 1),
        find_p95_us=round(float(np.percentile(finds_us, 95)), 1),
        edit_p50_ms=round(float(np.percentile(edits_ms, 50)), 2),
        edit_p95_ms=round(float(np.percentile(edits_ms, 95)), 2),
    )


def _time_lookups(
    memory: ProjectMemory,
    encode: Callable[[str], Sequence[TokenId]],
    texts: Sequence[str],
    rng: random.Random,
) -> list[float]:
    view = memory.view()
    times_us: list[float] = []
    while len(times_us) < _N_LOOKUPS:
        text = rng.choice(texts)
        start = rng.randrange(max(1, len(text) - 200))
        token_ids = encode(text[start : start + 200])
        for end in range(2, len(token_ids), 5):
            started_s = time.perf_counter()
            view.find(token_ids[:end])
            times_us.append((time.perf_counter() - started_s) * 1e6)
    return times_us


def _time_edits(memory: ProjectMemory, texts: dict[str, str], rng: random.Random) -> list[float]:
    """One file after the other is edited a few times in a row; the first edit is not counted.

    It encodes the whole file, as opening it would.
    """
    times_ms: list[float] = []
    for key in rng.sample(sorted(texts), min(20, len(texts))):
        lines = texts[key].split("\n")
        memory.remember(key, "\n".join([*lines, "# opened"]))
        for _ in range(_N_EDITS // 20):
            lines[rng.randrange(len(lines))] += " x"
            started_s = time.perf_counter()
            memory.remember(key, "\n".join(lines))
            times_ms.append((time.perf_counter() - started_s) * 1e3)
    return times_ms
