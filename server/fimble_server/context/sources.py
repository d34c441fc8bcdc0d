"""The names of what a completion may be made from besides the file at hand.

Owns the names: those that `--explain` shows, that settings turn off, and that measurements leave
out. Where a source acts is told by `PROMPT_SOURCES` and `MEMORY_SOURCES`.
"""

from __future__ import annotations

__all__ = ["MEMORY_SOURCES", "PROMPT_SOURCES", "SOURCE_NAMES", "Sources"]

Sources = frozenset[str]

# Texts that the project memory copies from.
MEMORY_SOURCES = ("open-files", "project")
# Pieces in the prompt of a model that was trained to be shown such.
PROMPT_SOURCES = ("definitions", "diagnostics", "similar", "recent-edits", "viewed-files")
SOURCE_NAMES = (*MEMORY_SOURCES, *PROMPT_SOURCES)
