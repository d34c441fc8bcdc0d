"""Whether a folder holds a whole model: all that loading will open, and each file to its end.

Owns the list of files. Reads the index of shards and the headers of weights, never a weight.
"""

from __future__ import annotations

import fnmatch
import json
import struct
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

__all__ = [
    "INDEX_FILE",
    "find_lack",
    "has_weights",
    "is_code",
    "is_wanted",
    "is_wanted_with_gguf",
    "shards_of",
]

INDEX_FILE = "model.safetensors.index.json"
_SINGLE_FILE = "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json")
_SHARDS = "model-*-of-*.safetensors"
_PAPERS = ("LICENSE*", "README.md")

_WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    INDEX_FILE,
    *_PAPERS,
)
# Safetensors: eight bytes that say how long the header is, the header, then the numbers.
_LENGTH = struct.Struct("<Q")
_MOST_HEADER_BYTES = 100_000_000


def is_wanted(name: str) -> bool:
    """True for the files that loading a model of safetensors needs, and its papers."""
    return any(fnmatch.fnmatchcase(name, each) for each in (*_WANTED, _SINGLE_FILE, _SHARDS))


def is_wanted_with_gguf(gguf: str) -> Callable[[str], bool]:
    """The same for a model in one GGUF file."""
    return lambda name: name == gguf or any(fnmatch.fnmatchcase(name, each) for each in _PAPERS)


def is_code(name: str) -> bool:
    """True for Python that lies beside a model: it is fetched only where the user said so."""
    return name.endswith(".py") and "/" not in name


def has_weights(names: Collection[str]) -> bool:
    """True where a list of files holds weights as safetensors."""
    return _SINGLE_FILE in names or INDEX_FILE in names


def find_lack(folder: Path) -> str | None:
    """The first file that is missing or cut off; None for a whole model."""
    for name in _NEEDED:
        if not (folder / name).is_file():
            return name
    if (folder / _SINGLE_FILE).is_file():
        return None if _is_to_its_end(folder / _SINGLE_FILE) else f"whole {_SINGLE_FILE}"
    if not (folder / INDEX_FILE).is_file():
        return f"{_SINGLE_FILE} or {INDEX_FILE}"
    for name in sorted(shards_of(folder / INDEX_FILE)):
        if not (folder / name).is_file():
            return name
        if not _is_to_its_end(folder / name):
            return f"whole {name}"
    return None


def shards_of(index: Path) -> set[str]:
    """Names in an index; an index that is no index names itself as what is missing."""
    try:
        parsed: Any = json.loads(index.read_text(encoding="utf-8"))
        return {str(name) for name in parsed["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {f"{index.name} that can be read"}


def _is_to_its_end(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says. What is in it is not looked at."""
    n_bytes = path.stat().st_size
    try:
        with path.open("rb") as opened:
            (n_header,) = _LENGTH.unpack(opened.read(_LENGTH.size))
            if n_header > min(n_bytes, _MOST_HEADER_BYTES):
                return False
            header: Any = json.loads(opened.read(n_header))
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        return bool(n_bytes == _LENGTH.size + n_header + max(ends, default=0))
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError):
        return False
