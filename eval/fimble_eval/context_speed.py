"""What the project's index costs: to build, to keep, to ask, and until it has seen an edit.

Owns that one measurement. Has the product's own process index a folder, and then asks and edits
that index from here; wall and processor time are told apart, for the index's process gives way to
everything else.

Memory is counted as what the machine has less of: the resident pages of the index's process at
its peak, libraries that others may share included, and what a reader in the server grows by.
NOTE: not by `ru_maxrss`, which a child has from its parent: between fork and exec it is as large.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fimble_eval.memory_speed import time_tokens
from fimble_eval.resident import add_mib, measure_growth, read_resident
from fimble_model.engine.memory import ProjectMemory
from fimble_model.engine.memory_files import load_segments
from fimble_model.errors import FimbleError
from fimble_model.shipped import find_model_folder
from fimble_model.text.tokenizer import load_tokenizer
from fimble_server.context.choosing import names_near, text_near
from fimble_server.context.index_store import IndexReader
from fimble_server.context.indexing import ProjectIndex, open_index, places_for
from fimble_server.context.project_files import read_text, walk_project

__all__ = ["ContextSpeed", "measure_context_speed"]

_N_LOOKUPS, _N_EDITS = 300, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSpeed:
    """Times of one core. `lookup_*` is for chunks and definitions, `find_*` for the memory's
    search, `token_*` for all that the memory costs a token: the search, and the mix with the
    network's log-probabilities.

    `process_peak_mib` and `process_settled_mib` (once all is read) are resident pages of the
    index's process, `server_growth_mib` those that a reader of the index has more after it has
    asked for all sorts of things, and `total_peak_mib` is the first and the third together; None
    where the system does not tell. `memory_mib` are the arrays that the memory searches.
    """

    n_files: int
    n_chars: int
    build_s: float
    build_cpu_s: float
    process_peak_mib: float | None
    process_settled_mib: float | None
    server_growth_mib: float | None
    total_peak_mib: float | None
    disk_mib: float
    memory_mib: float
    restart_s: float
    lookup_p50_ms: float
    lookup_p95_ms: float
    find_p50_us: float
    find_p95_us: float
    token_p50_us: float
    token_p95_us: float
    edit_p50_s: float
    edit_max_s: float


def measure_context_speed(root: Path, *, model: str, n_files: int) -> ContextSpeed:
    """Index a copy of at most `n_files` source files of a folder, ask it, and edit it.

    Raises `FimbleError` where there are none.
    """
    model_folder = find_model_folder(model)
    with tempfile.TemporaryDirectory() as name:
        project, cache = Path(name) / "project", Path(name) / "cache"
        texts = _copy(root, project, n_files)
        if not texts:
            raise FimbleError(
                expected="a folder with source files", found=str(root), to_do="Name another."
            )
        built = _build(project, cache, model_folder)
        started_s = time.perf_counter()
        index = _open_updated(project, cache, model_folder)
        restart_s = time.perf_counter() - started_s
        assert index.tokens is not None, "a model was named"
        tokenizer = load_tokenizer(model_folder)
        memory = ProjectMemory(lambda text: tokenizer.encode_words_inside(text).token_ids)
        memory.take_stored(load_segments(index.tokens.folders, tokenizer.n_ids))
        rng = random.Random(0)
        chunks_path = places_for(cache, project).chunks
        growth_mib = measure_growth(model_folder, chunks_path, index.tokens.folders, project)
        lookups_ms = _time_lookups(IndexReader(chunks_path), texts, rng)
        finds_us, tokens_us = time_tokens(memory.view(), tokenizer, texts, rng)
        edits_s = _time_edits(index, project, min(_N_EDITS, len(texts)), rng)
        disk_bytes = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        return ContextSpeed(
            n_files=len(texts),
            n_chars=sum(map(len, texts)),
            build_s=round(built.wall_s, 1),
            build_cpu_s=round(built.cpu_s, 1),
            process_peak_mib=built.peak_mib,
            process_settled_mib=built.settled_mib,
            server_growth_mib=growth_mib,
            total_peak_mib=add_mib(built.peak_mib, growth_mib),
            disk_mib=round(disk_bytes / 2**20, 1),
            memory_mib=round(memory.n_bytes / 2**20, 1),
            restart_s=round(restart_s, 2),
            lookup_p50_ms=round(float(np.percentile(lookups_ms, 50)), 2),
            lookup_p95_ms=round(float(np.percentile(lookups_ms, 95)), 2),
            find_p50_us=round(float(np.percentile(finds_us, 50)), 1),
            find_p95_us=round(float(np.percentile(finds_us, 95)), 1),
            token_p50_us=round(float(np.percentile(tokens_us, 50)), 1),
            token_p95_us=round(float(np.percentile(tokens_us, 95)), 1),
            edit_p50_s=round(float(np.percentile(edits_s, 50)), 3),
            edit_max_s=round(max(edits_s), 3),
        )


def _copy(root: Path, project: Path, n_files: int) -> list[str]:
    """The first source files of a folder, copied; their texts."""
    texts: list[str] = []
    for file in walk_project(root, n_files):
        text = read_text(root / file.path)
        if text is not None:
            path = project / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            texts.append(text)
    return texts


class _Built(NamedTuple):
    """What the index's process took, as the system counts it."""

    wall_s: float
    cpu_s: float
    peak_mib: float | None
    settled_mib: float | None


def _build(project: Path, cache: Path, model_folder: Path) -> _Built:
    """Index a project as the server does: in a process of its own."""
    asked = {"root": str(project), "cache": str(cache), "model": str(model_folder)}
    started_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "fimble_server.context.indexer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            if json.loads(line).get("ready"):
                break
        wall_s = time.perf_counter() - started_s
        memory = read_resident(process.pid)
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return _Built(wall_s, usage.ru_utime + usage.ru_stime, memory.peak_mib, memory.now_mib)


def _open_updated(project: Path, cache: Path, model_folder: Path) -> ProjectIndex:
    """The project's index, opened and brought up to date."""
    index = open_index(project, cache, model_folder)
    for _ in index.update_all():
        pass
    return index


def _time_lookups(reader: IndexReader, texts: list[str], rng: random.Random) -> list[float]:
    """Milliseconds of this thread's processor time for what one line's request asks."""
    times_ms: list[float] = []
    for _ in range(_N_LOOKUPS):
        text = rng.choice(texts)
        cursor = rng.randrange(len(text) + 1)
        started_s = time.thread_time()
        reader.find_chunks(text_near(text, cursor), most=12)
        reader.find_definitions(names_near(text, cursor), most=6)
        times_ms.append((time.thread_time() - started_s) * 1e3)
    return times_ms


def _time_edits(
    index: ProjectIndex, project: Path, n_edits: int, rng: random.Random
) -> list[float]:
    """Seconds until the index has seen a line added to a file, for so many files."""
    times_s: list[float] = []
    for file in rng.sample(list(walk_project(project)), n_edits):
        path = project / file.path
        path.write_text((read_text(path) or "") + "\nedited_for_measuring = 1\n", "utf-8")
        started_s = time.perf_counter()
        for _ in index.update([path]):
            pass
        times_s.append(time.perf_counter() - started_s)
    return times_s
