"""What a prompt shows besides the file at hand: found in the project's index, kept while it may.

Owns one owner's present choice. Runs where the engine runs: it reads the index and counts
tokens. A fault of the index is an empty choice.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from fimble_model.engine.protocol import SourceFile, Surroundings, TextCodec
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.snapshot import Snapshot
from fimble_server.context.choosing import Piece, choose_pieces, names_near, text_near
from fimble_server.context.index_store import IndexReader

__all__ = ["Surrounded", "SurroundingsDesk"]

_MOST_CHUNKS = 12
_MOST_DEFINITIONS = 6
# A header of what is used at the cursor says more than a chunk that is only alike. Guessed.
_DEFINITION_SCORE = 8.0
_TOKENS_A_FILE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrounded:
    """The surroundings and what they cost; `pieces` with the tokens of each, for explaining."""

    surroundings: Surroundings
    pieces: tuple[tuple[Piece, int], ...] = ()
    n_tokens: int


@dataclass(slots=True)
class SurroundingsDesk:
    """The last choice of one owner. Invariant: it is looked for anew once a line, not a key."""

    _pieces: tuple[Piece, ...] = ()
    _looked_at: tuple[str, int] | None = None
    _reader: IndexReader | None = field(default=None, repr=False)
    _reader_path: Path | None = None

    def choose(
        self, snapshot: Snapshot, page: Page, codec: TextCodec, n_most_tokens: int
    ) -> Surrounded | None:
        """What to show; None where the model takes nothing or the project is not known."""
        project = snapshot.project
        if project is None or not codec.shows_files or n_most_tokens <= 0:
            return None
        place = (page.text[: page.cursor].rpartition("\n")[0][-200:], n_most_tokens)
        if place != self._looked_at:
            self._looked_at = place
            self._pieces = self._chosen(snapshot, page, codec, n_most_tokens)
        counted = tuple((piece, _n_tokens_of(piece, codec)) for piece in self._pieces)
        head = codec.encode(f"{project.name}\n{project.path}\n")
        return Surrounded(
            surroundings=Surroundings(
                repository=project.name,
                path=project.path,
                files=tuple(SourceFile(piece.path, piece.text) for piece in self._pieces),
            ),
            pieces=counted,
            n_tokens=len(head) + _TOKENS_A_FILE + sum(n_tokens for _, n_tokens in counted),
        )

    def _chosen(
        self, snapshot: Snapshot, page: Page, codec: TextCodec, n_most_tokens: int
    ) -> tuple[Piece, ...]:
        project = snapshot.project
        assert project is not None, "it was looked at before"
        reader = self._reader_of(project.index)
        if reader is None:
            return ()
        near = text_near(page.text, page.cursor)
        chunks = reader.find_chunks(near, most=_MOST_CHUNKS, besides=(project.path,))
        headers = reader.find_definitions(
            names_near(page.text, page.cursor), most=_MOST_DEFINITIONS
        )
        candidates = [
            *(Piece(source="similar", path=c.path, text=c.text, score=c.score) for c in chunks),
            *(
                Piece(source="definition", path=h.path, text=h.text, score=_DEFINITION_SCORE)
                for h in headers
                if h.path != project.path
            ),
        ]
        open_texts = {
            buffer.uri.rpartition("/")[2]: with_line_feeds(buffer.text)
            for buffer in snapshot.neighbours
        }
        return choose_pieces(
            [piece for piece in candidates if _is_true_still(piece, open_texts)],
            self._pieces,
            near=near,
            n_most_tokens=n_most_tokens,
            n_tokens_of=lambda piece: _n_tokens_of(piece, codec),
        )

    def _reader_of(self, path: Path) -> IndexReader | None:
        if self._reader is None or self._reader_path != path:
            if not path.exists():
                return None
            try:
                self._reader, self._reader_path = IndexReader(path), path
            except sqlite3.Error:
                return None
        return self._reader


def _n_tokens_of(piece: Piece, codec: TextCodec) -> int:
    return len(codec.encode(piece.path)) + len(codec.encode(piece.text)) + _TOKENS_A_FILE


def _is_true_still(piece: Piece, open_texts: dict[str, str]) -> bool:
    """A piece of a file that is open counts only where it stands there now."""
    text = open_texts.get(piece.path.rpartition("/")[2])
    return text is None or piece.text.strip("\n") in text
