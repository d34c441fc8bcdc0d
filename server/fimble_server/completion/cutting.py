"""Where a middle is cut short: small steps, each of which says how many characters to keep.

Owns cuts that keep a beginning of the middle as it is. Pure; what is then shown or hidden is
decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.protocol import FinishReason
from fimble_server.completion.answer import StepNote
from fimble_server.completion.looping import find_loop
from fimble_server.completion.page import Page
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Plan
from fimble_server.completion.stopping import MiddleStop
from fimble_server.completion.worth_a_look import n_chars_before_tool_note
from fimble_server.document.languages import BlockKind

__all__ = ["CUTS", "CutMiddle", "Material", "cut_middle"]

_MIN_TELLING_CHARS = 4
_MAX_LINES_BELOW = 12
_LEAST_COPIED_LINES = 6  # guessed: shorter boilerplate may be wanted once more
_LEAST_TELLING_LINES = 4
# What no program text holds: control characters but tab and line feed, halves of characters, and
# the mark of bytes that were none.
_UNFIT = re.compile("[\0-\x08\x0b-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffd\ufffe\uffff]")
# A comment's beginning and no more, or a line that is drawn: what is left of a run of dashes.
_DRAWN_LINE = re.compile(r"\s*(?:#+|//+|--+|/\*+|;+|%+)[\s=*#~_/-]*\Z")
_WORDS = re.compile(r"\w+")
_MAX_HEADER_CHARS = 200
_WORD_AT_END = re.compile(r"\w+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What cuts may look at besides the middle. `reason` says why its row ended."""

    page: Page
    plan: Plan
    reason: FinishReason

    @property
    def is_finished(self) -> bool:
        """False where time or tokens ran out before the middle's end."""
        return self.reason in (FinishReason.END_TOKEN, FinishReason.STOP_RULE)


Cut = Callable[[str, Material], int]


class CutMiddle(NamedTuple):
    """A beginning of a middle, and which cuts made it one."""

    text: str
    notes: tuple[StepNote, ...]


def cut_middle(middle: str, material: Material, without: Parts = NO_PARTS) -> CutMiddle:
    """The beginning of the middle that is left after the cuts, in their order."""
    notes = []
    for name, cut in CUTS.items():
        n_kept = len(middle) if name in without else cut(middle, material)
        if n_kept < len(middle):
            notes.append(StepNote(step=name, effect=f"cut {len(middle) - n_kept} characters"))
            middle = middle[:n_kept]
    return CutMiddle(middle, tuple(notes))


def _cut_unfit_characters(middle: str, material: Material) -> int:
    """Up to the line that holds what no program text holds; on the first line, up to there."""
    del material
    found = _UNFIT.search(middle)
    if found is None:
        return len(middle)
    line_start = middle.rfind("\n", 0, found.start())
    return found.start() if line_start < 0 else line_start


def _cut_at_stop(middle: str, material: Material) -> int:
    """Where the plan's stop rule ends it, also where nobody asked the rule while decoding."""
    n_kept = material.plan.stop.n_chars_to_keep(middle)
    return len(middle) if n_kept is None else n_kept


def _cut_at_end(middle: str, material: Material) -> int:
    """What a middle that ran out of time or tokens did not bring to an end.

    Whole lines stay; of a single line, whole words.
    """
    stop = material.plan.stop
    n_kept = len(middle)
    if isinstance(stop, MiddleStop):
        n_kept = stop.n_chars_at_end(middle, is_finished=material.is_finished)
    if material.is_finished or n_kept < len(middle.rstrip()):
        return n_kept
    last_line_start = middle.rfind("\n")
    if middle[: max(0, last_line_start)].strip():
        return last_line_start
    half_word = _WORD_AT_END.search(middle)
    return n_kept if half_word is None or half_word.start() == 0 else half_word.start()


def _cut_loop(middle: str, material: Material) -> int:
    """Where it begins to repeat itself: one round stays. A row that ended is read by lines."""
    del material
    line_end = middle.find("\n")
    while line_end >= 0:
        n_kept = find_loop(middle[: line_end + 1])
        if n_kept is not None:
            return n_kept
        line_end = middle.find("\n", line_end + 1)
    n_kept = find_loop(middle + "\n")
    return len(middle) if n_kept is None else n_kept


def _cut_drawn_line(middle: str, material: Material) -> int:
    """Before a last line that says nothing."""
    line_start = middle.rstrip().rfind("\n") + 1
    line_left = "" if line_start else material.page.line_left
    is_drawn = _DRAWN_LINE.match(line_left + middle[line_start:]) is not None
    return max(0, line_start - 1) if is_drawn else len(middle)


def _cut_defined_again(middle: str, material: Material) -> int:
    """Before a function or class at the top level that the file has word for word."""
    stop, page = material.plan.stop, material.page
    if not isinstance(stop, MiddleStop):
        return len(middle)
    headers = stop.boundary.language.headers
    line_start = 0
    for index, line in enumerate(middle.split("\n")):
        whole = (page.line_left + line if index == 0 else line).rstrip()
        words = _WORDS.findall(whole[:_MAX_HEADER_CHARS])
        kind = next((headers[word] for word in words if word in headers), None)
        is_definition = kind in (BlockKind.FUNCTION, BlockKind.CLASS) and not whole[0].isspace()
        if is_definition and page.has_other_line(whole):
            return _without_decorators(middle, line_start)
        line_start += len(line) + 1
    return len(middle)


def _cut_copied(middle: str, material: Material) -> int:
    """Before lines that stand one below the other elsewhere in the file, word for word.

    Code that is like other code differs in something; without that it is a copy of no use.
    """
    page = material.page
    lines = (page.line_left + middle).split("\n")
    n_left_chars = len(page.line_left)
    text, line_start = f"\n{page.text}\n", 0
    for index in range(len(lines) - _LEAST_COPIED_LINES + 1):
        run = lines[index : index + _LEAST_COPIED_LINES]
        is_telling = sum(map(_is_telling, run)) >= _LEAST_TELLING_LINES
        if is_telling and "\n".join(("", *run, "")) in text:
            return max(0, line_start - n_left_chars - 1)
        line_start += len(lines[index]) + 1
    return len(middle)


def _is_telling(line: str) -> bool:
    return sum(sign.isalnum() for sign in line) >= _MIN_TELLING_CHARS


def _without_decorators(middle: str, end: int) -> int:
    """The end without the decorators right before it."""
    while (line_start := middle.rfind("\n", 0, max(0, end - 1)) + 1) < end and middle[
        line_start:end
    ].startswith("@"):
        end = line_start
    return max(0, end - 1)


def _cut_repeated_below(middle: str, material: Material) -> int:
    """Where the middle begins to write the lines that already follow.

    Its end may repeat any of their beginning; one telling line is enough anywhere.
    """
    below = [line.rstrip() for line in material.page.lines_below(_MAX_LINES_BELOW)]
    starts, lines = _later_lines(middle)
    for index, line in enumerate(lines):
        rest = [later for later in lines[index:] if later]
        if below and line == below[0] and (_is_telling(line) or rest == below[: len(rest)]):
            return starts[index]
    return len(middle)


def _later_lines(middle: str) -> tuple[list[int], list[str]]:
    """All lines but the first: where each one's line feed stands, and its text."""
    starts = [index for index, sign in enumerate(middle) if sign == "\n"]
    return starts, [line.rstrip() for line in middle.split("\n")[1:]]


def _cut_lines(middle: str, material: Material) -> int:
    """The plan's most lines, not counting blank ones."""
    n_seen = line_start = 0
    while line_start < len(middle):
        line_end = middle.find("\n", line_start)
        line_end = len(middle) if line_end < 0 else line_end
        n_seen += bool(middle[line_start:line_end].strip())
        if n_seen >= material.plan.max_lines:
            return line_end
        line_start = line_end + 1
    return len(middle)


def _cut_continued_line(middle: str, material: Material) -> int:
    """Before the backslash of a last line that would join it to what stands below.

    On the cursor's own line it may be wanted: what it goes on with may be there already.
    """
    del material
    kept = middle.rstrip()
    n_backslashes = len(kept) - len(kept.rstrip("\\"))
    return len(kept) - 1 if "\n" in kept and n_backslashes % 2 else len(middle)


def _cut_blank_end(middle: str, material: Material) -> int:
    """Without blanks at the end, unless they part a single line from what stands right of it."""
    kept = middle.rstrip()
    right = material.page.line_right
    if "\n" not in middle and right.strip() and not right[0].isspace():
        return len(middle)
    return len(kept)


CUTS: dict[str, Cut] = {
    "unfit-characters": _cut_unfit_characters,
    "stop-rule": _cut_at_stop,
    "unfinished-end": _cut_at_end,
    "loop": _cut_loop,
    "drawn-line": _cut_drawn_line,
    "defined-again": _cut_defined_again,
    "copied": _cut_copied,
    "repeated-below": _cut_repeated_below,
    "most-lines": _cut_lines,
    "continued-line": _cut_continued_line,
    "tool-note": n_chars_before_tool_note,
    "blank-end": _cut_blank_end,
}
