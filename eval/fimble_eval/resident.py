"""Resident memory: of a process by its id, and what one grows by that reads a project's index.

Owns both counts, and the reader: a bare process that opens the index as the server does and asks
it for all sorts of things. Its tokenizer is loaded before the count begins: the server has one
anyway. What is mapped from disk counts as far as it was touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fimble_model.engine.memory import ProjectMemory
from fimble_model.engine.memory_files import load_segments
from fimble_model.text.tokenizer import load_tokenizer
from fimble_server.context.choosing import names_near, text_near
from fimble_server.context.index_store import IndexReader
from fimble_server.context.project_files import read_text, walk_project

__all__ = ["Resident", "add_mib", "measure_growth", "read_resident"]

_N_ASKED = 300


class Resident(NamedTuple):
    """MiB of a process that are in memory, now and at most; None where the system does not tell."""

    now_mib: float | None
    peak_mib: float | None


def read_resident(process_id: int) -> Resident:
    """What Linux says of a process."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
        kib = {name: int(value.split()[0]) for name, value in _pairs(lines)}
        return Resident(round(kib["VmRSS"] / 1024, 1), round(kib["VmHWM"] / 1024, 1))
    except (OSError, KeyError):
        return Resident(None, None)


def add_mib(one: float | None, other: float | None) -> float | None:
    """Both together, where both are known."""
    return None if one is None or other is None else round(one + other, 1)


def measure_growth(
    model_folder: Path, chunks: Path, token_folders: Sequence[Path], project: Path
) -> float | None:
    """MiB that a process grows by which opens an index and asks it at many places of a project."""
    asked = [str(model_folder), str(chunks), str(project), *map(str, token_folders)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fimble_eval.resident", *asked],
        capture_output=True,
        text=True,
        check=True,
    )
    growth_mib: float | None = json.loads(done.stdout)
    return growth_mib


def _pairs(lines: Sequence[str]) -> list[tuple[str, str]]:
    found = (line.partition(":") for line in lines if line.startswith(("VmRSS:", "VmHWM:")))
    return [(name, value.strip()) for name, _, value in found]


def _grow(
    model_folder: Path, chunks: Path, project: Path, token_folders: Sequence[Path]
) -> float | None:
    """Ask at one place of every file, up to a number; what that added to this process."""
    tokenizer = load_tokenizer(model_folder)
    files = list(walk_project(project))
    files = files[:: max(1, len(files) // _N_ASKED)]
    texts = [read_text(project / file.path) or "" for file in files]
    encoded = [tokenizer.encode_words_inside(text[:2_000]).token_ids for text in texts]
    before = read_resident(os.getpid()).now_mib
    reader = IndexReader(chunks)
    memory = ProjectMemory(lambda text: tokenizer.encode_words_inside(text).token_ids)
    memory.take_stored(load_segments(token_folders, tokenizer.n_ids))
    view = memory.view()
    for text, token_ids in zip(texts, encoded, strict=True):
        cursor = len(text) // 2
        reader.find_chunks(text_near(text, cursor), most=12)
        reader.find_definitions(names_near(text, cursor), most=6)
        for end in range(2, len(token_ids)):
            view.find(token_ids[:end])
    after = read_resident(os.getpid()).now_mib
    return None if before is None or after is None else round(after - before, 1)


if __name__ == "__main__":
    model, chunks_path, project_root, *folders = map(Path, sys.argv[1:])
    sys.stdout.write(json.dumps(_grow(model, chunks_path, project_root, folders)))
