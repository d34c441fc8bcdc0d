"""Every source by its name: each gives pieces and can be left out, none is out of date."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fimble_server.context.gathering import (
    ChunkShelf,
    EditedText,
    Place,
    gather_pieces,
    is_true_still,
)
from fimble_server.context.index_store import IndexReader
from fimble_server.context.indexing import open_index, places_for
from fimble_server.context.sources import PROMPT_SOURCES
from fimble_server.document.history import Edit, EditKind
from fimble_server.document.positions import CharOffset

_TEXT = "from shop import Cart\n\n\ndef quartz_lantern(velvet):\n    return Cart(velvet)."
_OPEN = "def harbour():\n    quartz_lantern = velvet()\n    return quartz_lantern\n"
_EDITED = "anchor = 1\nlantern_velvet = quartz_lantern(anchor)\n"


@pytest.fixture
def reader(tmp_path: Path) -> IndexReader:
    files = {
        "shop.py": "class Cart(Base):\n    pass\n\n\nclass TaxRate(Base):\n    pass\n",
        "alike.py": "def velvet_quartz(velvet, quartz_lantern):\n    return velvet\n",
        "open.py": "def harbour():\n    old_text = quartz_lantern(velvet)\n",
        "closed.py": "closed_anchor = quartz_lantern(velvet)\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    index = open_index(tmp_path, tmp_path / ".cache", None)
    list(index.update_all())
    index.close()
    return IndexReader(places_for(tmp_path / ".cache", tmp_path).chunks)


def _edit(start: int, end: int) -> Edit:
    return Edit(
        kind=EditKind.TYPED,
        start=CharOffset(start),
        end=CharOffset(end),
        time_ms=0.0,
        removed="",
        inserted="",
    )


_PLACE = Place(
    path="here.py",
    text=_TEXT,
    cursor=len(_TEXT),
    open_texts={"open.py": _OPEN, "edited.py": _EDITED},
    viewed=("closed.py", "open.py"),
    edited=(EditedText(path="edited.py", text=_EDITED, edits=(_edit(11, 20),)),),
    diagnosed_names=("TaxRate",),
)


def test_every_source_gives_pieces_and_each_can_be_left_out(reader: IndexReader) -> None:
    whole = {each.source for each in gather_pieces(_PLACE, reader, ChunkShelf(), frozenset())}
    assert whole == set(PROMPT_SOURCES)
    for name in PROMPT_SOURCES:
        left = gather_pieces(_PLACE, reader, ChunkShelf(), frozenset({name}))
        assert {each.source for each in left} == whole - {name}


def test_of_an_open_file_only_what_stands_there_now_is_a_piece(reader: IndexReader) -> None:
    pieces = gather_pieces(_PLACE, reader, ChunkShelf(), frozenset())
    assert not any("old_text" in piece.text for piece in pieces)
    assert {"closed.py", "open.py"} <= {
        piece.path for piece in pieces if piece.source == "viewed-files"
    }
    (seen,) = [piece for piece in pieces if piece.path == "open.py"]
    gone = dataclasses.replace(_PLACE, open_texts={"open.py": "x = 1\n"})
    assert is_true_still(seen, _PLACE, reader)
    assert not is_true_still(seen, gone, reader)


def test_a_chunk_that_the_index_no_longer_has_is_gone(reader: IndexReader) -> None:
    (closed,) = reader.chunks_of("closed.py")
    assert reader.says("closed.py", closed)
    assert not reader.says("closed.py", closed + "more\n")
    assert reader.says("shop.py", "class Cart(Base):\n")
