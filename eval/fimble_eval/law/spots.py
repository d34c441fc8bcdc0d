"""What a user may have at a cursor of a whole file, and what an engine may make of it.

Owns the adversaries: engines that know the true continuation and run on into the rest of the file,
a sibling clause, closing brackets or rubbish, or that write those at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fimble_eval.law.block_ends import BlockEnd, find_block_end
from fimble_server.document.language import Language
from fimble_server.document.parsed import Parsed

__all__ = ["Spot", "spots_at"]

_BRACES = ("}} else {{\n{0}    other();\n{0}}}", "}} catch (e) {{\n{0}    other();\n{0}}}")
_BAITS = {
    "python": ("else:\n{0}    other()", "except E:\n{0}    other()", "elif other:\n{0}    pass"),
    "ruby": ("else\n{0}  other\n{0}end", "rescue E\n{0}  other\n{0}end", "when 7\n{0}  other"),
    "lua": ("else\n{0}  other()\n{0}end", "elseif other then\n{0}  other()\n{0}end"),
    "shellscript": ("else\n{0}  other\n{0}fi", "elif other; then\n{0}  other\n{0}fi"),
}
_CLOSERS = "}\n{0}}}\n{0})\n{0}]\n{0}}}\n"
_RUBBISH = ") ] }} fi end else: ;; => ''' @@ \\\n{0}}} else ((\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A file with a cursor and, in place of the rest of the block, nothing: what the user has.

    `rest` is what the engine goes on with, all of it the block's own; `after` what it writes once
    it is done. `is_class` says that the block holds declarations: a half-typed one may parse as
    another. Where `is_cut_short` the engine leaves the block's rest out, so that any beginning
    of what it writes may close what the cursor's line has opened.
    """

    left: str
    right: str
    rest: str
    after: str
    kind: str
    is_class: bool
    is_cut_short: bool = False

    @property
    def text(self) -> str:
        """What the editor holds."""
        return self.left + self.right


def spots_at(parsed: Parsed, cursor: int) -> Iterator[Spot]:
    """What may be asked at one cursor of a whole file; nothing outside of blocks."""
    end = find_block_end(parsed, cursor)
    if end is None:
        return
    text = parsed.text
    rest = text[cursor : end.offset].rstrip()
    left, right = text[:cursor], text[cursor + len(rest) :]
    for kind, after in (("runs on", right), *_baits(parsed.language, end)):
        yield Spot(left=left, right=right, rest=rest, after=after, kind=kind, is_class=end.is_class)
    if rest.strip():
        for kind, after in _baits(parsed.language, end):
            yield Spot(
                left=left,
                right=right,
                rest="",
                after=after,
                kind=f"{kind} at once",
                is_class=end.is_class,
                is_cut_short=True,
            )
    line_end = text.find("\n", cursor)
    if cursor + len(rest) > line_end >= 0:  # Only the rest of the line is gone.
        yield Spot(
            left=left,
            right=text[line_end:],
            rest=rest,
            after=right,
            kind="line gone",
            is_class=end.is_class,
        )


def _baits(language: Language, end: BlockEnd) -> Iterator[tuple[str, str]]:
    indent = " " * end.column
    for bait in _BAITS.get(language.language_id, _BRACES):
        yield "sibling", f"\n{indent}{bait.format(indent)}\n"
    yield "closers", f"\n{indent}{_CLOSERS.replace('}}', '}').replace('{0}', indent)}"
    yield "rubbish", f"\n{indent}{_RUBBISH.replace('}}', '}').replace('{0}', indent)}"
