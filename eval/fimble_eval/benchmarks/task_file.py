"""Benchmark files: JSON lines, gzipped or not, one task a line.

Owns reading and the choice of a few tasks for a quick look. Knows no benchmark's meaning.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fimble_server.errors import FimbleError

__all__ = ["Record", "choose_some", "read_records"]

Record = Mapping[str, str]


def read_records(path: Path, required: Sequence[str]) -> list[Record]:
    """The tasks of a file. Raises `FimbleError` where one lacks a required text."""
    n_read = 0
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        records: list[Record] = []
        for line in text.split("\n"):  # Not `splitlines`: a text may hold other line ends.
            n_read += 1
            if line.strip():
                record: dict[str, Any] = json.loads(line)
                if not all(isinstance(record[name], str) for name in required):
                    raise TypeError("an entry that is not text")
                records.append(record)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise FimbleError(
            expected=f"JSON lines with {', '.join(required)} in {path.name}",
            found=f"{type(error).__name__} at line {n_read}",
            to_do="Name a benchmark's own file, as published (.jsonl or .jsonl.gz).",
        ) from error
    if not records:
        raise FimbleError(
            expected=f"at least one task in {path.name}",
            found="none",
            to_do="Name a benchmark's own file, as published (.jsonl or .jsonl.gz).",
        )
    return records


def choose_some(records: list[Record], limit: int | None, seed: int) -> list[Record]:
    """At most `limit` of the tasks, drawn by the seed, in the file's order."""
    if limit is None or limit >= len(records):
        return records
    kept = sorted(random.Random(seed).sample(range(len(records)), limit))
    return [records[index] for index in kept]
