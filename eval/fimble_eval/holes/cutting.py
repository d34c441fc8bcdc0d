"""Where holes are cut: lines, ends of lines, blocks, lines that use another file's name.

Owns the four kinds and the draw. Pure; the same seed cuts the same holes. At a hole a model may
read the other files of its package, as in an editor, and of its own file what the prompt holds.
"""

from __future__ import annotations

import enum
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from tree_sitter import Node

from fimble_eval.filling.hole import Hole
from fimble_eval.holes.definitions import defined_names, is_import_or_text
from fimble_eval.holes.repository import SourceFile
from fimble_server.document.buffers import Buffer
from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import Parsed, parse

__all__ = ["Cut", "HoleKind", "cut_holes"]

_LEAST_LINE_CHARS, _MOST_LINE_CHARS = 3, 160
_LEAST_BLOCK_LINES, _MOST_BLOCK_LINES, _MOST_BLOCK_CHARS = 2, 10, 600
_WORD = re.compile(r"[^\W\d]\w*")


class HoleKind(enum.Enum):
    """What is cut out: a line from its indentation on; the rest of a line from anywhere in it; a
    node of the syntax tree that fills lines; a line that names what only another file defines.
    """

    LINE = "line"
    LINE_END = "line-end"
    BLOCK = "block"
    CROSS_FILE = "cross-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A hole, and what it is counted under."""

    hole: Hole
    kind: HoleKind
    package: str
    path: str
    language_id: str


class _Span(NamedTuple):
    """Characters `[start, end)` of a file."""

    file_index: int
    start: int
    end: int


def cut_holes(
    files: Sequence[SourceFile], *, n_cases: int, seed: int, has_memory: bool
) -> list[Cut]:
    """At most `n_cases` holes of each kind in each package."""
    cuts: list[Cut] = []
    for package in dict.fromkeys(file.package for file in files):
        own_files = [file for file in files if file.package == package]
        parsed = [parse(language_for_id(file.language_id), file.text) for file in own_files]
        buffers = [_buffer_of(file) for file in own_files]
        for kind in HoleKind:
            rng = random.Random(f"{seed}/{package}/{kind.value}")
            spans = list(_SPANS[kind](own_files, parsed, rng))
            for number, span in enumerate(rng.sample(spans, min(n_cases, len(spans)))):
                name = f"{package}/{kind.value}/{number}"
                cuts.append(_cut(own_files, buffers, span, kind, name, has_memory=has_memory))
    return cuts


def _cut(
    files: Sequence[SourceFile],
    buffers: Sequence[Buffer],
    span: _Span,
    kind: HoleKind,
    name: str,
    *,
    has_memory: bool,
) -> Cut:
    file = files[span.file_index]
    others = [buffer for index, buffer in enumerate(buffers) if index != span.file_index]
    hole = Hole(
        hole_id=name,
        uri=buffers[span.file_index].uri,
        language_id=file.language_id,
        prefix=file.text[: span.start],
        middle=file.text[span.start : span.end],
        suffix=file.text[span.end :],
        neighbours=tuple(others),
        memory_scope=file.package if has_memory else None,
    )
    return Cut(
        hole=hole,
        kind=kind,
        package=file.package,
        path=file.path,
        language_id=file.language_id,
    )


def _buffer_of(file: SourceFile) -> Buffer:
    uri = f"file:///{quote(file.package)}/{quote(file.path)}"
    return Buffer(uri=uri, language_id=file.language_id, version=0, text=file.text)


def _lines(file_index: int, text: str) -> Iterator[_Span]:
    """The lines worth cutting, from their indentation to their last visible character."""
    start = 0
    for line in text.split("\n"):
        n_blanks = len(line) - len(line.lstrip())
        if _LEAST_LINE_CHARS <= len(line.strip()) <= _MOST_LINE_CHARS or _is_closer(line):
            yield _Span(file_index, start + n_blanks, start + len(line.rstrip()))
        start += len(line) + 1


def _is_closer(line: str) -> bool:
    return bool(line.strip()) and not line.strip(" \t})];,")


def _whole_lines(
    files: Sequence[SourceFile], parsed: Sequence[Parsed], rng: random.Random
) -> Iterator[_Span]:
    del parsed, rng
    for index, file in enumerate(files):
        yield from _lines(index, file.text)


def _line_ends(
    files: Sequence[SourceFile], parsed: Sequence[Parsed], rng: random.Random
) -> Iterator[_Span]:
    """At least a character stands left of the cursor, and one is missing."""
    for span in _whole_lines(files, parsed, rng):
        if span.end - span.start >= _LEAST_LINE_CHARS:
            yield span._replace(start=rng.randrange(span.start + 1, span.end))


def _blocks(
    files: Sequence[SourceFile], parsed: Sequence[Parsed], rng: random.Random
) -> Iterator[_Span]:
    del rng
    for index, (file, tree) in enumerate(zip(files, parsed, strict=True)):
        spans = {
            _Span(index, tree.char_offset(node.start_byte), tree.char_offset(node.end_byte))
            for node in _nodes_of_some_lines(tree)
        }
        yield from sorted(span for span in spans if _fills_lines(file.text, span))


def _nodes_of_some_lines(parsed: Parsed) -> Iterator[Node]:
    waiting = [] if parsed.tree is None else list(parsed.tree.root_node.named_children)
    while waiting:
        node = waiting.pop()
        n_lines = node.end_point.row - node.start_point.row + 1
        if _LEAST_BLOCK_LINES <= n_lines <= _MOST_BLOCK_LINES and not node.has_error:
            yield node
        if n_lines >= _LEAST_BLOCK_LINES:
            waiting.extend(node.named_children)


def _fills_lines(text: str, span: _Span) -> bool:
    line_start = text.rfind("\n", 0, span.start) + 1
    line_end = text.find("\n", span.end)
    left = text[line_start : span.start]
    right = text[span.end : line_end if line_end >= 0 else len(text)]
    return not (left + right).strip() and span.end - span.start <= _MOST_BLOCK_CHARS


def _cross_file_lines(
    files: Sequence[SourceFile], parsed: Sequence[Parsed], rng: random.Random
) -> Iterator[_Span]:
    del rng
    defined = [defined_names(tree) for tree in parsed]
    owners: Mapping[str, int] = {
        name: index for index, names in enumerate(defined) for name in names
    }
    for index, file in enumerate(files):
        foreign = owners.keys() - defined[index]
        for span in _lines(index, file.text):
            words = _WORD.finditer(file.text, span.start, span.end)
            places = [match.start() for match in words if match[0] in foreign]
            if places and not any(is_import_or_text(parsed[index], place) for place in places):
                yield span


_SPANS = {
    HoleKind.LINE: _whole_lines,
    HoleKind.LINE_END: _line_ends,
    HoleKind.BLOCK: _blocks,
    HoleKind.CROSS_FILE: _cross_file_lines,
}
