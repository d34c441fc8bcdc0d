"""One source file of the corpus as a value, and the files that hold many of them.

Owns the format between the stages: one JSON object a line, plain or packed in xz parts.
Knows nothing of where a document came from or what will be done with it.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fimble_model.training.faults import TrainingError
from fimble_model.training.languages import language_of
from fimble_model.training.storage import open_whole

__all__ = ["Document", "load_documents", "load_packed", "pack_documents", "write_documents"]

_XZ_PRESET = 3
# What is looked at between two parts: no part is longer than the limit by more than this packed.
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of a package. `path` is relative to the package's root."""

    package: str
    path: str
    text: str

    @property
    def language(self) -> str:
        """The name of its language; empty where the path tells none."""
        language = language_of(self.path)
        return "" if language is None else language.name


def write_documents(documents: Iterable[Document], path: Path) -> int:
    """Write documents to `path`, all or nothing; returns how many."""
    n_documents = 0
    with open_whole(path) as file:
        for document in documents:
            file.write(_to_line(document))
            n_documents += 1
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
            yield _from_line(line, path)


def pack_documents(documents: Iterable[Document], folder: Path, *, part_bytes: int) -> int:
    """Write documents as `part-NNN.jsonl.xz` of at most `part_bytes` each; returns how many parts.

    Parts of an earlier packing that are not replaced are removed, so that a folder holds one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_parts = 0
    chunks = _chunks(documents, min(_CHUNK_BYTES, part_bytes))
    chunk = next(chunks, None)
    while chunk is not None:
        with open_whole(folder / f"part-{n_parts:03d}.jsonl.xz") as file:
            n_bytes = 0
            while chunk is not None:
                # Streams of xz may be joined, so each chunk is packed by itself and measured.
                packed = lzma.compress(chunk, preset=_XZ_PRESET)
                if n_bytes and n_bytes + len(packed) > part_bytes:
                    break
                file.write(packed)
                n_bytes += len(packed)
                chunk = next(chunks, None)
        n_parts += 1
    for path in folder.glob("part-*.jsonl.xz"):
        if int(path.name[5:8]) >= n_parts:
            path.unlink()
    return n_parts


def load_packed(folder: Path) -> Iterator[Document]:
    """The documents of all parts in a folder, in the order they were packed in."""
    paths = sorted(folder.glob("part-*.jsonl.xz"))
    if not paths:
        raise TrainingError(
            expected=f"packed documents in {folder}",
            found="none",
            to_do="Run the earlier stages first: `fimble-train clean`, then `fimble-train pack`.",
        )
    for path in paths:
        try:
            with lzma.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    yield _from_line(line, path)
        except (lzma.LZMAError, EOFError) as error:
            raise TrainingError(
                expected=f"a whole part in {path.name}",
                found="a damaged one",
                to_do="Run `fimble-train pack` again, or copy the part again.",
            ) from error


def _chunks(documents: Iterable[Document], chunk_bytes: int) -> Iterator[bytes]:
    lines: list[bytes] = []
    n_bytes = 0
    for document in documents:
        lines.append(_to_line(document))
        n_bytes += len(lines[-1])
        if n_bytes >= chunk_bytes:
            yield b"".join(lines)
            lines, n_bytes = [], 0
    if lines:
        yield b"".join(lines)


def _to_line(document: Document) -> bytes:
    return (json.dumps(asdict(document), ensure_ascii=False) + "\n").encode()


def _from_line(line: str, path: Path) -> Document:
    try:
        return Document(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise TrainingError(
            expected=f"one document a line in {path.name}",
            found="a line that is none",
            to_do="Delete the file and run the stage that writes it again.",
        ) from error
