"""What a prompt shows besides the file at hand: found in the project's index, kept while it may.

Owns one owner's present choice. Runs where the engine runs: it reads the index and counts
tokens. A fault of the index is an empty choice.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from fimble_model.engine.protocol import SourceFile, Surroundings, TextCodec
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.snapshot import ProjectPlace, Snapshot
from fimble_server.context.choosing import Piece, choose_pieces, text_near
from fimble_server.context.gathering import (
    ChunkShelf,
    EditedText,
    Place,
    gather_pieces,
    is_true_still,
)
from fimble_server.context.index_store import IndexReader

__all__ = ["Surrounded", "SurroundingsDesk"]

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
    _shelf: ChunkShelf = field(default_factory=ChunkShelf)
    _reader: IndexReader | None = field(default=None, repr=False)
    _reader_path: Path | None = None

    def choose(
        self, snapshot: Snapshot, page: Page, codec: TextCodec, n_most_tokens: int
    ) -> Surrounded | None:
        """What to show; None where the model takes nothing or the project is not known."""
        project = snapshot.project
        if project is None or not codec.shows_files or n_most_tokens <= 0:
            return None
        looked_at = (page.text[: page.cursor].rpartition("\n")[0][-200:], n_most_tokens)
        if looked_at != self._looked_at:
            self._looked_at = looked_at
            self._pieces = self._chosen(snapshot, project, page, codec, n_most_tokens)
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
        self,
        snapshot: Snapshot,
        project: ProjectPlace,
        page: Page,
        codec: TextCodec,
        n_most_tokens: int,
    ) -> tuple[Piece, ...]:
        reader = self._reader_of(project.index)
        if reader is None:
            return ()
        place = _place_of(snapshot, project, page)
        return choose_pieces(
            gather_pieces(place, reader, self._shelf, snapshot.without_sources),
            [piece for piece in self._pieces if is_true_still(piece, place, reader)],
            near=text_near(page.text, page.cursor),
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


def _place_of(snapshot: Snapshot, project: ProjectPlace, page: Page) -> Place:
    """The snapshot's cursor among the files of its project; what lies outside is left out."""
    root = unquote(snapshot.buffer.uri).removesuffix(project.path)
    paths = {each.uri: unquote(each.uri).removeprefix(root) for each in snapshot.neighbours}
    inside = {uri: path for uri, path in paths.items() if path != unquote(uri)}
    return Place(
        path=project.path,
        text=page.text,
        cursor=page.cursor,
        # An edit's place counts characters of the buffer: with other line ends it is another.
        edits=() if "\r" in snapshot.buffer.text else snapshot.history.edits,
        open_texts={
            inside[each.uri]: with_line_feeds(each.text)
            for each in snapshot.neighbours
            if each.uri in inside
        },
        viewed=[uri.removeprefix(root) for uri in snapshot.viewed if uri.startswith(root)],
        edited=[
            EditedText(
                path=inside[each.buffer.uri], text=each.buffer.text, edits=each.history.edits
            )
            for each in snapshot.edited
            if each.buffer.uri in inside and "\r" not in each.buffer.text
        ],
        diagnosed_names=snapshot.diagnosed_names,
    )


def _n_tokens_of(piece: Piece, codec: TextCodec) -> int:
    return len(codec.encode(piece.path)) + len(codec.encode(piece.text)) + _TOKENS_A_FILE
