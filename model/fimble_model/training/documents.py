"""One source file of the corpus as a value, and the files that hold many of them.

Owns the format between the stages (one JSON object a line). Knows nothing of where a
document came from or what will be done with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fimble_model.training.faults import TrainingError

__all__ = ["Document", "load_documents", "write_documents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of a package. `path` is relative to the package's root."""

    package: str
    path: str
    text: str


def write_documents(documents: Iterable[Document], path: Path) -> int:
    """Write documents to `path`, all or nothing; returns how many."""
    unfinished = path.with_suffix(".part")
    n_documents = 0
    with unfinished.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")
            n_documents += 1
    unfinished.replace(path)
    return n_documents


def load_documents(path: Path) -> Iterator[Document]:
    """The documents of a file written by `write_documents`."""
    if not path.is_file():
        raise TrainingError(
            expected=f"documents in {path}",
            found="no such file",
            to_do="Run the earlier stages first: `fimble-train corpus`, then `fimble-train clean`.",
        )
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Document(**json.loads(line))
