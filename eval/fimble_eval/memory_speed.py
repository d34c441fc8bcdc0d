"""What the project memory costs: its size, a lookup and an edit, on Python's own library.

Owns that one measurement. Reads files that every Python brings; needs no model but a tokenizer.
"""

from __future__ import annotations

import random
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fimble_model.engine.memory import MemoryView, ProjectMemory
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.protocol import TokenId
from fimble_model.text.tokenizer import Tokenizer

__all__ = ["MemorySpeed", "TokenTimes", "measure_speed", "time_tokens"]

_MOST_FILES = 2_000
_N_WARMING, _N_LOOKUPS, _N_EDITS = 500, 2_000, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySpeed:
    """`build_s` is for all files together; an edit changes one line of one of them. `find_*` is
    the search, `token_*` all that the memory costs a token: the search and the mix.
    """

    n_files: int
    n_chars: int
    n_tokens: int
    index_mib: float
    build_s: float
    find_p50_us: float
    find_p95_us: float
    token_p50_us: float
    token_p95_us: float
    edit_p50_ms: float
    edit_p95_ms: float


class TokenTimes(NamedTuple):
    """Microseconds of the thread's processor time, for each token that was looked up."""

    finds_us: list[float]
    tokens_us: list[float]


def measure_speed(tokenizer: Tokenizer) -> MemorySpeed:
    """Fill a memory with the library's files, then look up and edit."""

    def encode(text: str) -> Sequence[TokenId]:
        return tokenizer.encode_words_inside(text).token_ids

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
    times = time_tokens(memory.view(), tokenizer, list(texts.values()), rng)
    edits_ms = _time_edits(memory, texts, rng)
    segments = memory.view().segments
    return MemorySpeed(
        n_files=len(memory.keys),
        n_chars=sum(len(texts[key]) for key in memory.keys),
        n_tokens=sum(segment.n_tokens for segment in segments),
        index_mib=round(memory.n_bytes / 2**20, 1),
        build_s=round(build_s, 2),
        find_p50_us=round(float(np.percentile(times.finds_us, 50)), 1),
        find_p95_us=round(float(np.percentile(times.finds_us, 95)), 1),
        token_p50_us=round(float(np.percentile(times.tokens_us, 50)), 1),
        token_p95_us=round(float(np.percentile(times.tokens_us, 95)), 1),
        edit_p50_ms=round(float(np.percentile(edits_ms, 50)), 2),
        edit_p95_ms=round(float(np.percentile(edits_ms, 95)), 2),
    )


def time_tokens(
    view: MemoryView, tokenizer: Tokenizer, texts: Sequence[str], rng: random.Random
) -> TokenTimes:
    """Find what the memory says after some characters of the texts, and mix it in.

    The network's log-probabilities are random: they have no say in the time. Places of a memory
    that is used are warm, so the first tokens, which fetch them, are not counted.
    """
    times = TokenTimes([], [])
    generator = torch.Generator().manual_seed(0)
    logprobs_V = torch.randn(tokenizer.n_ids, generator=generator).mul(3).log_softmax(dim=0)
    control_ids = np.array(sorted(set(tokenizer.control_ids.values())))
    while len(times.finds_us) < _N_WARMING + _N_LOOKUPS:
        text = rng.choice(texts)
        start = rng.randrange(max(1, len(text) - 200))
        token_ids = tokenizer.encode_words_inside(text[start : start + 200]).token_ids
        for end in range(2, len(token_ids), 5):
            started_s = time.thread_time()
            matches = view.find(token_ids[:end])
            found_s = time.thread_time()
            if matches is not None:
                blend(logprobs_V, matches, control_ids)
            times.finds_us.append((found_s - started_s) * 1e6)
            times.tokens_us.append((time.thread_time() - started_s) * 1e6)
    return TokenTimes(times.finds_us[_N_WARMING:], times.tokens_us[_N_WARMING:])


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
