"""The project's index brought up to date: what is new or gone is read, the rest is left alone.

Owns the order of the work. Runs in the index's own process or in a terminal: it reads the
disk and takes its time, but goes on in small steps so that its caller can look up between them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimble_model.engine.protocol import TokenId
from fimble_model.text.tokenizer import load_tokenizer
from fimble_server.context.chunks import cut_chunks
from fimble_server.context.definitions import find_definitions
from fimble_server.context.index_store import IndexWriter
from fimble_server.context.project_files import (
    ProjectFile,
    is_sayable,
    read_text,
    try_stat,
    walk_project,
)
from fimble_server.context.token_store import TokenStore, token_folder
from fimble_server.document.languages import language_for_path

__all__ = [
    "INDEX_FOLDER",
    "USED_NAME",
    "IndexPlaces",
    "ProjectIndex",
    "Step",
    "open_index",
    "places_for",
    "try_lock",
]

_VERSION = 1
INDEX_FOLDER = f"index-{_VERSION}"
# Its time of change says when a project was last opened.
USED_NAME = "used"
_FILES_A_COMMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlaces:
    """Where a project's index lies."""

    folder: Path
    chunks: Path
    lock: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far an update has come. `has_new_tokens` where there are folders to load anew."""

    n_done: int
    n_all: int
    has_new_tokens: bool = False


@dataclass(slots=True, kw_only=True)
class ProjectIndex:
    """One project's stores. `tokens` is None where no model wants a memory.

    `secret_names` are the user's own patterns for files that are never read.
    """

    root: Path
    chunks: IndexWriter
    tokens: TokenStore | None
    secret_names: tuple[str, ...] = ()

    def update_all(self) -> Iterator[Step]:
        """Walk the project and take in what differs from what is known."""
        walked = walk_project(self.root, secret_names=self.secret_names)
        present = {file.path: file for file in walked}
        known = self.chunks.stamps()
        known_tokens = {} if self.tokens is None else self.tokens.stamps
        for path in (known.keys() | known_tokens.keys()) - present.keys():
            self._remove(path)
        stale = [
            file
            for file in present.values()
            if known.get(file.path) != file.stamp
            or (self.tokens is not None and known_tokens.get(file.path) != file.stamp)
        ]
        yield from self._take(stale)

    def update(self, paths: Sequence[Path]) -> Iterator[Step]:
        """Take in some files that have changed, come or gone."""
        found: list[ProjectFile] = []
        for path in paths:
            file = try_stat(self.root, path, self.secret_names)
            if file is not None:
                found.append(file)
            elif path.is_relative_to(self.root) and is_sayable(str(path)):
                self._remove(path.relative_to(self.root).as_posix())
        yield from self._take(found)

    def close(self) -> None:
        """Commit and let go of the files."""
        self.chunks.close()

    def _take(self, files: Sequence[ProjectFile]) -> Iterator[Step]:
        known = self.chunks.stamps()
        for n_done, file in enumerate(files):
            text = read_text(self.root / file.path) or ""
            if known.get(file.path) != file.stamp:
                definitions = find_definitions(language_for_path(file.path), text)
                self.chunks.put(file.path, file.stamp, cut_chunks(text), definitions)
            has_new = False
            if self.tokens is not None and self.tokens.stamps.get(file.path) != file.stamp:
                has_new = self.tokens.put(file.path, file.stamp, text)
            if n_done % _FILES_A_COMMIT == _FILES_A_COMMIT - 1:
                self.chunks.commit()
            yield Step(n_done=n_done + 1, n_all=len(files), has_new_tokens=has_new)
        self.chunks.commit()
        has_new = self.tokens is not None and self.tokens.save()
        yield Step(n_done=len(files), n_all=len(files), has_new_tokens=has_new)

    def _remove(self, path: str) -> None:
        self.chunks.remove(path)
        if self.tokens is not None:
            self.tokens.remove(path)


def places_for(cache: Path, root: Path) -> IndexPlaces:
    """A project's own folder in the user's cache."""
    name = hashlib.sha256(str(root).encode("utf-8", "replace")).hexdigest()[:16]
    folder = cache / INDEX_FOLDER / name
    return IndexPlaces(folder=folder, chunks=folder / "chunks.sqlite", lock=folder / "lock.sqlite")


def open_index(
    root: Path, cache: Path, model_folder: Path | None, secret_names: tuple[str, ...] = ()
) -> ProjectIndex:
    """The project's index as it was left. Raises `CheckpointError` for a model without tokens."""
    places = places_for(cache, root)
    chunks = IndexWriter(places.chunks)
    (places.folder / USED_NAME).touch()
    tokens = None
    if model_folder is not None:
        folder = token_folder(places.folder, model_folder)
        tokens = TokenStore(folder, root, _encoder(model_folder))
    return ProjectIndex(root=root, chunks=chunks, tokens=tokens, secret_names=secret_names)


def try_lock(path: Path) -> sqlite3.Connection | None:
    """Be the only process that writes a project's index, until the lock is closed.

    None where another one is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock


def _encoder(model_folder: Path) -> Callable[[str], Sequence[TokenId]]:
    tokenizer = load_tokenizer(model_folder)
    return lambda text: tokenizer.encode_words_inside(text).token_ids
