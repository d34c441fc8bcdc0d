"""What could be shown of a project at a cursor: every source's candidates, each by its name.

Owns the sources' order and bounds. Runs where the engine runs: it reads the index. What is
chosen of the candidates is decided elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fimble_server.context.choosing import Piece, names_near, text_near
from fimble_server.context.chunks import cut_chunks, words_of
from fimble_server.context.index_store import IndexReader
from fimble_server.context.recent import WordedChunk, edited_pieces, viewed_pieces
from fimble_server.context.sources import Sources
from fimble_server.document.history import Edit

__all__ = ["ChunkShelf", "EditedText", "Place", "gather_pieces", "is_true_still"]

_MOST_CHUNKS = 12
_MOST_DEFINITIONS = 6
# A header of what is used at the cursor says more than a chunk that is only alike. Guessed.
_DEFINITION_SCORE = 8.0
# What is complained of near the cursor is what the user must look up now. Guessed.
_DIAGNOSED_SCORE = 12.0
_MOST_VIEWED_FILES = 4
_MOST_VIEWED_CHARS = 60_000
_MOST_SHELVED = 8
# An edit of the file at hand counts where the prompt's own window hardly reaches. Guessed.
_FAR_ABOVE_CHARS, _FAR_BELOW_CHARS = 6_000, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedText:
    """A file as it is now, by its path below the root, and the edits that led there."""

    path: str
    text: str = field(repr=False)
    edits: tuple[Edit, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cursor in a file, and what is around it in the project. Line ends are line feeds.

    `open_texts` are other open files by path, as they are now; `viewed` are paths of files that
    were looked at, the last one last.
    """

    path: str
    text: str = field(repr=False)
    cursor: int
    edits: tuple[Edit, ...] = field(default=(), repr=False)
    open_texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    viewed: Sequence[str] = ()
    edited: Sequence[EditedText] = ()
    diagnosed_names: Sequence[str] = ()


class ChunkShelf:
    """Chunks of open files with their words. Keeps the invariant that they are of the text asked
    for: cutting is dear, and most files asked for are those asked for before.
    """

    def __init__(self) -> None:
        self._shelf: OrderedDict[tuple[str, int], tuple[WordedChunk, ...]] = OrderedDict()

    def chunks_of(self, path: str, text: str) -> tuple[WordedChunk, ...]:
        """A text's chunks."""
        key = (path, hash(text))
        found = self._shelf.get(key)
        if found is None:
            found = self._shelf[key] = tuple(_worded(cut_chunks(text[:_MOST_VIEWED_CHARS])))
            while len(self._shelf) > _MOST_SHELVED:
                self._shelf.popitem(last=False)
        self._shelf.move_to_end(key)
        return found


def gather_pieces(
    place: Place, reader: IndexReader, shelf: ChunkShelf, without: Sources
) -> list[Piece]:
    """The candidates of all sources that are not left out; none of them out of date."""
    near = text_near(place.text, place.cursor)
    near_words = frozenset(words_of(near))
    pieces: list[Piece] = []
    if "similar" not in without:
        chunks = reader.find_chunks(near, most=_MOST_CHUNKS, besides=(place.path,))
        pieces += (Piece(source="similar", path=c.path, text=c.text, score=c.score) for c in chunks)
    if "diagnostics" not in without:
        found = _defined(place.diagnosed_names, "diagnostics", _DIAGNOSED_SCORE, place, reader)
        pieces += found
    if "definitions" not in without:
        names = names_near(place.text, place.cursor)
        pieces += _defined(names, "definitions", _DEFINITION_SCORE, place, reader)
    if "viewed-files" not in without:
        for path in [path for path in place.viewed if path != place.path][-_MOST_VIEWED_FILES:]:
            text = place.open_texts.get(path)
            chunks_there = (
                shelf.chunks_of(path, text)
                if text is not None
                else tuple(_worded(reader.chunks_of(path)))
            )
            pieces += viewed_pieces(path, chunks_there, near_words)
    if "recent-edits" not in without:
        for edited in place.edited:
            pieces += edited_pieces(edited.path, edited.text, edited.edits, near_words)
        pieces += _edited_here(place, near_words)
    return [piece for piece in pieces if is_true_still(piece, place, reader)]


def is_true_still(piece: Piece, place: Place, reader: IndexReader) -> bool:
    """Whether a piece stands in its file as it is now: in the buffer where that is open."""
    text = place.text if piece.path == place.path else place.open_texts.get(piece.path)
    if text is not None:
        return piece.text.strip("\n") in text
    return reader.says(piece.path, piece.text)


def _edited_here(place: Place, near_words: frozenset[str]) -> Iterator[Piece]:
    """Edits of the file at hand that are far from the cursor."""
    for piece in edited_pieces(place.path, place.text, place.edits, near_words):
        start = place.text.find(piece.text.strip("\n"))
        is_far = (
            start + len(piece.text) < place.cursor - _FAR_ABOVE_CHARS
            or start > place.cursor + _FAR_BELOW_CHARS
        )
        if is_far:
            yield piece


def _defined(
    names: Sequence[str], source: str, score: float, place: Place, reader: IndexReader
) -> Iterator[Piece]:
    for header in reader.find_definitions(names, most=_MOST_DEFINITIONS):
        if header.path != place.path:
            yield Piece(source=source, path=header.path, text=header.text, score=score)


def _worded(chunks: Sequence[str] | Iterator[str]) -> Iterator[WordedChunk]:
    for chunk in chunks:
        yield WordedChunk(chunk, frozenset(words_of(chunk)))
