"""A text with its syntax tree, and the step from one such value to the next.

Owns the incremental parse: what changed is found by comparing the two texts, so no edit has to
be reported and none can be reported wrongly. Never changes a `Parsed` that was handed out.
"""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Point, Tree

from fimble_server.document.grammars import try_load_grammar
from fimble_server.document.languages import Language

__all__ = ["Parsed", "parse"]

_CHUNK_BYTES = 4096
_READ_BYTES = 8192
# The parser reports every 100 steps. A step costs more where a grammar is more ambiguous. In files
# of 5,000 lines 10 to 17 reports mend the tree after nearly every key; where that is not enough,
# hundreds are needed, so a higher limit costs time and mends nothing.
_MAX_REPORTS = {"python": 24, "javascript": 16, "typescript": 16, "tsx": 16, "cpp": 13}
_MAX_REPORTS_ELSEWHERE = 18
# Now and then a hiccup is better than a tree ever older: some 30 ms.
_MAX_REPORTS_NOW_AND_THEN = {"cpp": 320, "python": 1_600}
_MAX_REPORTS_NOW_AND_THEN_ELSEWHERE = 1_000
_MAX_AGE_EDITS = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parsed:
    """A text, and its tree where the language has a grammar. `source` is the text in UTF-8.

    Where mending the tree took too long it is the one before, moved along with the edit: whole
    away from the edit, out of date at it. `age_edits` counts the edits it was only moved along.
    """

    language: Language
    text: str
    source: bytes
    tree: Tree | None
    age_edits: int = 0

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


def parse(language: Language, text: str, previous: Parsed | None = None) -> Parsed:
    """The text with its tree. With the value before it, only what changed is parsed anew."""
    if previous is not None and previous.language is language and previous.text == text:
        return previous
    source = _encode(text)
    grammar = try_load_grammar(language.grammar_id) if language.grammar_id else None
    if grammar is None:
        return Parsed(language=language, text=text, source=source, tree=None)
    if previous is None or previous.language is not language or previous.tree is None:
        tree = Parser(grammar).parse(source)
        return Parsed(language=language, text=text, source=source, tree=tree)
    edited = _edited_tree(previous.tree, previous.source, source)
    is_old = previous.age_edits >= _MAX_AGE_EDITS
    mended = _try_parse_on(
        grammar, source, edited, _most_reports(language.grammar_id or "", is_old=is_old)
    )
    return Parsed(
        language=language,
        text=text,
        source=source,
        tree=mended or edited,
        age_edits=0 if mended or is_old else previous.age_edits + 1,
    )


def _most_reports(grammar_id: str, *, is_old: bool) -> int:
    if is_old:
        return _MAX_REPORTS_NOW_AND_THEN.get(grammar_id, _MAX_REPORTS_NOW_AND_THEN_ELSEWHERE)
    return _MAX_REPORTS.get(grammar_id, _MAX_REPORTS_ELSEWHERE)


def _try_parse_on(grammar: Grammar, source: bytes, edited: Tree, max_reports: int) -> Tree | None:
    """The tree of the new text; None when mending it takes too many steps for one keystroke.

    An opened quote may turn the rest of the file inside out. The bound counts the parser's
    steps rather than milliseconds, so that the same text gives the same tree.
    """
    n_reports = 0

    def read(offset: int, point: Point) -> bytes:
        del point
        return source[offset : offset + _READ_BYTES]

    def is_too_long(offset: int, has_error: bool) -> bool:
        del offset, has_error
        nonlocal n_reports
        n_reports += 1
        return n_reports > max_reports

    try:
        return Parser(grammar).parse(read, edited, progress_callback=is_too_long)
    except ValueError:  # The binding's way to say that the callback ended the parse.
        return None


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
