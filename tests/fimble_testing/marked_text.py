"""Text with marks in it, as tests write it: `def f(<|>):` has its cursor between the brackets."""

from __future__ import annotations

from typing import NamedTuple

from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer
from fimble_server.document.positions import CharOffset

__all__ = ["CURSOR_MARK", "MarkedText", "parse_marked", "show_insertion", "snapshot_of"]

CURSOR_MARK = "<|>"


class MarkedText(NamedTuple):
    """The text without its mark, and where the mark stood, in characters."""

    text: str
    cursor: CharOffset


def parse_marked(marked: str) -> MarkedText:
    """Read marked text. Raises `ValueError` where there is not exactly one mark.

    >>> parse_marked("a = '😀<|>'")
    MarkedText(text="a = '😀'", cursor=6)
    """
    left, right = marked.split(CURSOR_MARK)
    return MarkedText(left + right, CharOffset(len(left)))


def snapshot_of(marked: str, *, language_id: str = "python", owner: str = "test") -> Snapshot:
    """A snapshot of marked text, as if it were a newly opened file."""
    text, cursor = parse_marked(marked)
    buffer = Buffer(uri="file:///marked", language_id=language_id, version=1, text=text)
    return Snapshot(owner=owner, buffer=buffer, cursor=cursor)


def show_insertion(text: str, *, start: int, end: int, inserted: str) -> str:
    """The text with `[start, end)` replaced, and what came in between marks.

    >>> show_insertion("f()", start=2, end=3, inserted="a)")
    'f(⟦a)⟧'
    """
    return f"{text[:start]}⟦{inserted}⟧{text[end:]}"
