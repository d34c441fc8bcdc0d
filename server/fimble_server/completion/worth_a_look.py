"""What is not worth looking at: too little to save a key's worth, or indented where nothing is.

Owns these reasons to stay silent, and the cut before notes to linters. They come from an hour of
typing in an editor, whose worst suggestions stand in the tests of this file. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fimble_server.completion.overlap import is_only_closers
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Plan
from fimble_server.completion.stopping import MiddleStop

if TYPE_CHECKING:  # Cuts name this step in their order.
    from fimble_server.completion.cutting import Material

__all__ = ["is_deeper_than_it_can_be", "is_too_short", "n_chars_before_tool_note"]

# One character costs one key either way. Hiding two as well was measured: 68 % of those are right,
# and of all that is shown a smaller share was kept (58.7 against 59.9 %).
_LEAST_CHARS = 2
_QUOTES = "\"'`"
# A note that tells a linter, a type checker or a coverage tool to look away.
_TOOL_NOTE = re.compile(
    r"(?:^|[ \t]+)(?:#|//|/\*|--)\s*(?:noqa|nosec|type:\s*ignore|pragma\b|pylint:|pyright:|mypy:"
    r"|ruff:|fmt:|isort:|nolint|NOLINT|noinspection|eslint-|@ts-|ts-ignore|prettier-|istanbul |c8 "
    r"|rubocop:|phpcs:|@phpstan-|clang-format|shellcheck )"
)
_OPENERS, _CLOSERS = "([{", ")]}"
# What a line ends with that goes on in the next one, or a line begins with that goes on from above.
_GOES_ON_AFTER = re.compile(r"(?:[:({\[=\\|&+\-*/%<?.]|=>|->|\b(?:and|or|not|in|do|then|else))\Z")
_GOES_ON_BEFORE = re.compile(r"[.?:&|+\-*/%<>=]")
_COMMENT_BEGUN = re.compile(r"(?:#|//|/\*|--)\s*\w*\Z")


def n_chars_before_tool_note(middle: str, material: Material) -> int:
    """Before a note to a linter that nobody began: to look away is for the programmer to say."""
    line_left = material.page.line_left
    start = 0
    for line in middle.split("\n"):
        found = _TOOL_NOTE.search(line)
        if found is not None and not (start == 0 and _COMMENT_BEGUN.search(line_left)):
            return start + found.start()
        start += len(line) + 1
    return len(middle)


def is_too_short(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """One character, or an empty string; not what closes a bracket or was asked for."""
    del confidence
    told = text.strip()
    shows_all = plan.min_confidence <= 0  # it was asked for, or the dial says so
    is_empty_string = len(told) == len("''") and not told.strip(_QUOTES)
    if shows_all or page.selected or (len(told) >= _LEAST_CHARS and not is_empty_string):
        return None
    is_closing = is_only_closers(told) and any(sign in _CLOSERS for sign in told)
    return None if not told or is_closing else "too short to be worth a look"


def is_deeper_than_it_can_be(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """A blank line's text that begins deeper than its line, where the line above opens nothing."""
    del confidence
    n_blanks = len(text) - len(text.lstrip(" \t"))
    says_something = text[n_blanks : n_blanks + 1] not in ("", "\n")
    is_blank_line = not page.line_left.strip() and not page.line_right.strip()
    if not n_blanks or not says_something or not is_blank_line:
        return None
    above = page.line_above()
    if above is None:
        return None
    here, line = len(page.line_left), above.rstrip()
    opener_column = len(line) - len(line.lstrip())
    if here + n_blanks <= opener_column:
        return None
    is_inside_already = here > opener_column
    is_open = not is_inside_already and not _is_comment(line, plan) and _opens(line)
    if is_open or _GOES_ON_BEFORE.match(text.lstrip()):
        return None
    return "indented deeper than the line above allows"


def _opens(line: str) -> bool:
    """Whether the line after this one may stand deeper."""
    depth = sum(line.count(sign) for sign in _OPENERS) - sum(line.count(sign) for sign in _CLOSERS)
    return depth > 0 or _GOES_ON_AFTER.search(line) is not None


def _is_comment(line: str, plan: Plan) -> bool:
    if not isinstance(plan.stop, MiddleStop):
        return False
    language = plan.stop.boundary.language
    block_openers = tuple(opener for opener, _ in language.block_comments)
    return line.lstrip().startswith((*language.line_comments, *block_openers))
