"""Which names the diagnostics near a cursor speak of: their definitions help to mend it.

Owns the reading of messages. Pure. A message itself is never shown to a model, kept in a log or
repeated: compilers word them as they like, and no model here was trained on any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Diagnostic", "names_in_diagnostics"]

_LINES_AROUND = 8
_MOST_NAMES = 8
_QUOTED = re.compile(
    r"[`'\"\u2018\u201c\u00ab]([^\W\d]\w*(?:(?:\.|::|->)\w+)*)[`'\"\u2019\u201d\u00bb]"
)
_UNDEFINED = re.compile(r"\bundefined: ([^\W\d]\w*(?:\.\w+)*)")
_COMPOUND = re.compile(r"\b(?:[^\W\d_]+_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*)\b")


class Diagnostic(NamedTuple):
    """One line's complaint. `line` counts from 0."""

    line: int
    message: str


def names_in_diagnostics(diagnostics: Iterable[Diagnostic], line: int) -> tuple[str, ...]:
    """The names that complaints around a line speak of, the nearest line's first.

    >>> names_in_diagnostics([Diagnostic(3, 'Argument missing for parameter "tax_rate"')], 4)
    ('tax_rate',)
    """
    found: dict[str, None] = {}
    for each in sorted(diagnostics, key=lambda each: abs(each.line - line)):
        if abs(each.line - line) > _LINES_AROUND:
            break
        for pattern in (_QUOTED, _UNDEFINED, _COMPOUND):
            for name in pattern.findall(each.message):
                found.update(dict.fromkeys(re.split(r"\.|::|->", name)))
    return tuple(name for name in found if len(name) > 1)[:_MOST_NAMES]
