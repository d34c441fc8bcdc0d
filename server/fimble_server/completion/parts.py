"""The parts of the completer that can be left out, to measure what each is good for.

Owns their names. Users never see them: a part that helps is always in, one that does not is gone.
"""

from __future__ import annotations

__all__ = ["COMPLETER_PARTS", "NO_PARTS", "Parts"]

Parts = frozenset[str]
NO_PARTS: Parts = frozenset()

COMPLETER_PARTS: tuple[str, ...] = (
    "reuse",
    "join",
    "ahead",
    "refusals",
    "sure-beginning",
    "close-blocks",
    "fit-to-right",
    "unfit-characters",
    "stop-rule",
    "unfinished-end",
    "loop",
    "drawn-line",
    "defined-again",
    "copied",
    "repeated-below",
    "most-lines",
    "tool-note",
    "continued-line",
    "blank-end",
    "blank-lines",
    "indentation",
    "nothing",
    "unwritten-body",
    "secret",
    "below-already",
    "line-above",
    "too-deep",
    "too-short",
    "confidence",
)
