"""Whether a folder holds a whole model: everything that loading will open.

Owns the list of files. Reads the index of shards, never a weight.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["INDEX_FILE", "WANTED_PATTERNS", "find_lack", "has_weights"]

INDEX_FILE = "model.safetensors.index.json"
_SINGLE_FILE = "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json")

WANTED_PATTERNS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    _SINGLE_FILE,
    INDEX_FILE,
    "model-*-of-*.safetensors",
    "LICENSE*",
    "README.md",
)


def has_weights(names: Collection[str]) -> bool:
    """True where a list of files holds weights as safetensors."""
    return _SINGLE_FILE in names or INDEX_FILE in names


def find_lack(folder: Path) -> str | None:
    """The first file that is missing for a whole model; None where nothing is."""
    for name in _NEEDED:
        if not (folder / name).is_file():
            return name
    if (folder / _SINGLE_FILE).is_file():
        return None
    if not (folder / INDEX_FILE).is_file():
        return f"{_SINGLE_FILE} or {INDEX_FILE}"
    for name in sorted(_shards(folder / INDEX_FILE)):
        if not (folder / name).is_file():
            return name
    return None


def _shards(index: Path) -> set[str]:
    """Names in an index; an index that is no index names itself as what is missing."""
    try:
        parsed: Any = json.loads(index.read_text(encoding="utf-8"))
        return {str(name) for name in parsed["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {f"{index.name} that can be read"}
