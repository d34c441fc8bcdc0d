"""The project's chunks and definitions in one SQLite file: written by one process, read by others.

Owns the tables and their version. SQLite's own index (FTS5, BM25) finds chunks; its journal
keeps the file whole when a process dies in the middle. A file that is of another version or
damaged is thrown away and made anew: everything in it can be read again from the project.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimble_server.context.chunks import words_of
from fimble_server.context.definitions import Definition

__all__ = ["FoundChunk", "IndexReader", "IndexWriter"]

_VERSION = 1
# Rare words tell most; common ones cost most.
_MOST_QUERY_WORDS = 12
_MOST_POSTINGS = 2_000
_MOST_WORDS_ASKED = 500
_TABLES = """
CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT UNIQUE, time INTEGER, size INTEGER);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, file INTEGER, text TEXT);
CREATE INDEX chunks_of_file ON chunks (file);
CREATE TABLE definitions (name TEXT, file INTEGER, header TEXT);
CREATE INDEX definitions_by_name ON definitions (name);
CREATE INDEX definitions_of_file ON definitions (file);
CREATE VIRTUAL TABLE terms USING fts5 (words, content='', tokenize="unicode61 tokenchars '_'");
CREATE TABLE word_counts (word TEXT PRIMARY KEY, n_chunks INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChunk:
    """A piece of a file, `path` below the root; the higher the score, the more it is wanted."""

    path: str
    text: str = field(repr=False)
    score: float


class IndexWriter:
    """The one who writes. Keeps the invariant that a file's chunks are those of its stamp."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _open_sound(path)
        except sqlite3.DatabaseError:
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            self._connection = _open_sound(path)
        # In how many more chunks each word stands than at the last commit.
        self._counts: Counter[str] = Counter()

    def stamps(self) -> dict[str, tuple[int, int]]:
        """What is in it: paths, and what told of a change of each."""
        rows = self._connection.execute("SELECT path, time, size FROM files")
        return {path: (time, size) for path, time, size in rows}

    def put(
        self,
        path: str,
        stamp: tuple[int, int],
        chunks: Iterable[str],
        definitions: Iterable[Definition],
    ) -> None:
        """A file as it is now, in place of what was known of it."""
        self.remove(path)
        cursor = self._connection.execute(
            "INSERT INTO files (path, time, size) VALUES (?, ?, ?)", (path, *stamp)
        )
        file_id = cursor.lastrowid
        for text in chunks:
            cursor = self._connection.execute(
                "INSERT INTO chunks (file, text) VALUES (?, ?)", (file_id, text)
            )
            self._connection.execute(
                "INSERT INTO terms (rowid, words) VALUES (?, ?)",
                (cursor.lastrowid, self._counted(text, 1)),
            )
        self._connection.executemany(
            "INSERT INTO definitions (name, file, header) VALUES (?, ?, ?)",
            [(each.name, file_id, each.header) for each in definitions],
        )

    def remove(self, path: str) -> None:
        """A file is gone. Unknown ones are ignored."""
        found = self._connection.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if found is None:
            return
        rows = self._connection.execute("SELECT id, text FROM chunks WHERE file = ?", found)
        self._connection.executemany(
            "INSERT INTO terms (terms, rowid, words) VALUES ('delete', ?, ?)",
            [(chunk_id, self._counted(text, -1)) for chunk_id, text in rows.fetchall()],
        )
        for table, column in (("chunks", "file"), ("definitions", "file"), ("files", "id")):
            self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", found)

    def commit(self) -> None:
        """Let readers see what was put."""
        self._connection.executemany(
            "INSERT INTO word_counts (word, n_chunks) VALUES (?, ?)"
            " ON CONFLICT (word) DO UPDATE SET n_chunks = n_chunks + excluded.n_chunks",
            self._counts.items(),
        )
        self._counts.clear()
        self._connection.commit()

    def close(self) -> None:
        """Commit and let go of the file."""
        self.commit()
        self._connection.close()

    def _counted(self, text: str, step: int) -> str:
        """The words of a chunk that comes or goes, as they stand in the index."""
        words = sorted(words_of(text))
        for word in words:
            self._counts[word] += step
        return " ".join(words)


class IndexReader:
    """One who reads, in a thread of its own choice; a fault there is an empty answer."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=0.05)

    def find_chunks(self, text: str, *, most: int, besides: Sequence[str] = ()) -> list[FoundChunk]:
        """The chunks most like a text by BM25, the best first, of other files than `besides`."""
        with contextlib.suppress(sqlite3.Error):
            query = self._query_of(text)
            if query:
                rows = self._connection.execute(
                    "SELECT files.path, chunks.text, -best.rank FROM"
                    " (SELECT rowid, rank FROM terms WHERE terms MATCH ? ORDER BY rank LIMIT ?)"
                    " AS best JOIN chunks ON chunks.id = best.rowid"
                    " JOIN files ON files.id = chunks.file ORDER BY best.rank",
                    (query, most + 8 * (1 + len(besides))),
                )
                found = [
                    FoundChunk(path=path, text=chunk, score=score) for path, chunk, score in rows
                ]
                return [chunk for chunk in found if chunk.path not in besides][:most]
        return []

    def find_definitions(self, names: Sequence[str], *, most: int) -> list[FoundChunk]:
        """Headers of what these names stand for, the first names' first; ambiguous ones none."""
        found: list[FoundChunk] = []
        with contextlib.suppress(sqlite3.Error):
            for name in names:
                rows = self._connection.execute(
                    "SELECT files.path, header FROM definitions JOIN files ON files.id = file"
                    " WHERE name = ? LIMIT 3",
                    (name,),
                ).fetchall()
                if len(rows) in (1, 2):
                    found += [FoundChunk(path=p, text=f"{h}\n", score=1.0) for p, h in rows]
                if len(found) >= most:
                    break
        return found[:most]

    def chunks_of(self, path: str) -> list[str]:
        """All chunks of a file, in its order; none of a file that is not known."""
        with contextlib.suppress(sqlite3.Error):
            rows = self._connection.execute(
                "SELECT text FROM chunks JOIN files ON files.id = chunks.file"
                " WHERE files.path = ? ORDER BY chunks.id",
                (path,),
            )
            return [text for (text,) in rows]
        return []

    def says(self, path: str, text: str) -> bool:
        """Whether that is still a chunk or a definition's header of a file."""
        with contextlib.suppress(sqlite3.Error):
            found = self._connection.execute(
                "SELECT 1 FROM files WHERE path = ?1 AND (EXISTS"
                " (SELECT 1 FROM chunks WHERE file = files.id AND text = ?2) OR EXISTS"
                " (SELECT 1 FROM definitions WHERE file = files.id AND header || char(10) = ?2))",
                (path, text),
            )
            return found.fetchone() is not None
        return False

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _query_of(self, text: str) -> str:
        words = sorted(words_of(text))[:_MOST_WORDS_ASKED]
        marks = ", ".join("?" * len(words))
        counted: list[tuple[int, str]] = self._connection.execute(
            f"SELECT n_chunks, word FROM word_counts WHERE word IN ({marks})", words
        ).fetchall()
        chosen: list[str] = []
        n_postings = 0
        for count, word in sorted(counted)[:_MOST_QUERY_WORDS]:
            n_postings += count
            if chosen and n_postings > _MOST_POSTINGS:
                break
            chosen.append(f'"{word}"')
        return " OR ".join(chosen)


def _open_sound(path: Path) -> sqlite3.Connection:
    """The file with its tables. Raises `sqlite3.DatabaseError` where it is none of ours."""
    connection = sqlite3.connect(path, timeout=5.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok" or version not in (0, _VERSION):
            raise sqlite3.DatabaseError("of another version, or damaged")
        if version == 0:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.commit()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
