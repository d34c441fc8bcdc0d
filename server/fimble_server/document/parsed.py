"""A text with its syntax tree, and the step from one such value to the next.

Owns the incremental parse: what changed is found by comparing the two texts, so no edit has to
be reported and none can be reported wrongly. Never changes a `Parsed` that was handed out.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Point, Tree

from fimble_server.document.grammars import try_load_grammar
from fimble_server.document.languages import Language

__all__ = ["FIRST_BUDGET_MS", "Mending", "Parsed", "mend", "parse"]

_CHUNK_BYTES = 4096
_READ_BYTES = 8192
# What mends the tree after nearly every key takes a millisecond. Where that is not enough it takes
# dozens, so more for each key would cost time and mend nothing.
_BUDGET_A_KEY_MS = 1.8
_LEAST_GRACE_MS = 1.0
FIRST_BUDGET_MS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parsed:
    """A text, and its tree where the language has a grammar. `source` is the text in UTF-8.

    Where mending the tree takes too long for a key it is the one before, moved along with the
    edit: whole away from the edit, out of date at it. `age_edits` counts the edits it was only
    moved along, and `mending` is the rest of the work, for when nobody waits. A long file's
    first tree may be None until then.
    """

    language: Language
    text: str
    source: bytes
    tree: Tree | None
    age_edits: int = 0
    mending: Mending | None = None

    def byte_offset(self, char_offset: int) -> int:
        """Where a character starts in `source`: in `"😀x"`, character 1 starts at byte 4."""
        if len(self.source) == len(self.text):
            return char_offset
        return len(_encode(self.text[:char_offset]))

    def char_offset(self, byte_offset: int) -> int:
        """The inverse of `byte_offset` at the start of a character."""
        if len(self.source) == len(self.text):
            return byte_offset
        return len(self.source[:byte_offset].decode("utf-8", "replace"))

    def node_at(self, char_offset: int) -> Node | None:
        """The smallest node over the character that starts there."""
        if self.tree is None:
            return None
        start = self.byte_offset(char_offset)
        return self.tree.root_node.descendant_for_byte_range(start, start + 1)


class Mending:
    """Keeps the invariant that what was parsed of this text is not parsed again: it goes on."""

    def __init__(self, grammar: Grammar, source: bytes, edited: Tree | None) -> None:
        self._parser = Parser(grammar)
        self._source = source
        self._edited = edited
        self.is_lost = False

    def try_finish(self, budget_ms: float) -> Tree | None:
        """The tree of the text; None where it takes longer than that in CPU time of this thread.

        An opened quote may turn the rest of a file inside out. And a grammar's scanner may read
        the whole file at every sign, where no parser can be stopped: the file then ends early
        for it, and the attempt `is_lost`. CPU time, so that a busy machine changes no tree.
        """
        if self.is_lost:
            return None
        end_s = time.thread_time() + budget_ms / 1000.0
        # A parser that can be stopped reads a little after its end, and stops at its next look.
        lost_s = end_s + max(budget_ms, _LEAST_GRACE_MS) / 1000.0

        def read(offset: int, point: Point) -> bytes:
            del point
            self.is_lost = self.is_lost or time.thread_time() > lost_s
            return b"" if self.is_lost else self._source[offset : offset + _READ_BYTES]

        def is_too_long(offset: int, has_error: bool) -> bool:
            del offset, has_error
            return self.is_lost or time.thread_time() > end_s

        try:
            if self._edited is None:
                tree = self._parser.parse(read, progress_callback=is_too_long)
            else:
                tree = self._parser.parse(read, self._edited, progress_callback=is_too_long)
        except ValueError:  # The binding's way to say that the callback ended the parse.
            return None
        return None if self.is_lost else tree


def parse(
    language: Language,
    text: str,
    previous: Parsed | None = None,
    *,
    first_budget_ms: float | None = None,
) -> Parsed:
    """The text with its tree. With the value before it, only what changed is parsed anew.

    Without one the whole text is, or, with a budget, no more of it than that allows for now.
    """
    if previous is not None and previous.language is language and previous.text == text:
        return previous
    source = _encode(text)
    grammar = try_load_grammar(language.grammar_id) if language.grammar_id else None
    if grammar is None:
        return Parsed(language=language, text=text, source=source, tree=None)
    if previous is not None and previous.language is not language:
        previous = None
    if previous is None and first_budget_ms is None:
        tree = Parser(grammar).parse(source)
        return Parsed(language=language, text=text, source=source, tree=tree)
    edited = None
    if previous is not None and previous.tree is not None:
        edited = _edited_tree(previous.tree, previous.source, source)
    mending = Mending(grammar, source, edited)
    budget_ms = _BUDGET_A_KEY_MS if previous is not None else first_budget_ms
    assert budget_ms is not None
    mended = mending.try_finish(budget_ms)
    is_whole = mended is not None
    return Parsed(
        language=language,
        text=text,
        source=source,
        tree=mended if is_whole else edited,
        age_edits=0 if is_whole else 1 + (0 if previous is None else previous.age_edits),
        mending=None if is_whole or mending.is_lost else mending,
    )


def mend(parsed: Parsed, budget_ms: float) -> Parsed:
    """The same text with more of its tree's work done; as it is where nothing can be done."""
    if parsed.mending is None:
        return parsed
    mended = parsed.mending.try_finish(budget_ms)
    if mended is not None:
        return dataclasses.replace(parsed, tree=mended, age_edits=0, mending=None)
    return dataclasses.replace(parsed, mending=None) if parsed.mending.is_lost else parsed


def _encode(text: str) -> bytes:
    # An editor may cut a surrogate pair in two; half of one must not end the parse.
    return text.encode("utf-8", "surrogatepass")


def _edited_tree(tree: Tree, old: bytes, new: bytes) -> Tree:
    n_prefix = _n_common_prefix(old, new)
    n_suffix = _n_common_suffix(old, new, min(len(old), len(new)) - n_prefix)
    edited = tree.copy()
    edited.edit(
        n_prefix,
        len(old) - n_suffix,
        len(new) - n_suffix,
        _point(new, n_prefix),
        _point(old, len(old) - n_suffix),
        _point(new, len(new) - n_suffix),
    )
    return edited


def _n_common_prefix(old: bytes, new: bytes) -> int:
    n_max = min(len(old), len(new))
    n_same, n_chunk = 0, _CHUNK_BYTES
    while n_chunk:
        end = n_same + n_chunk
        if end <= n_max and old[n_same:end] == new[n_same:end]:
            n_same = end
        else:
            n_chunk //= 2
    while n_same and (_is_inside_character(old, n_same) or _is_inside_character(new, n_same)):
        n_same -= 1
    return n_same


def _n_common_suffix(old: bytes, new: bytes, n_max: int) -> int:
    n_same, n_chunk = 0, _CHUNK_BYTES
    while n_chunk:
        end_old, end_new = len(old) - n_same, len(new) - n_same
        is_same = old[end_old - n_chunk : end_old] == new[end_new - n_chunk : end_new]
        if n_same + n_chunk <= n_max and is_same:
            n_same += n_chunk
        else:
            n_chunk //= 2
    while n_same and _is_inside_character(new, len(new) - n_same):
        n_same -= 1
    return n_same


def _is_inside_character(source: bytes, offset: int) -> bool:
    return offset < len(source) and source[offset] & 0xC0 == 0x80


def _point(source: bytes, offset: int) -> Point:
    line_start = source.rfind(b"\n", 0, offset) + 1
    return Point(source.count(b"\n", 0, offset), offset - line_start)
