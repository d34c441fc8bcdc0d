"""Pages of results that are written again and again, and the notes that people add to them.

Owns the mark between the two: what stands before it is ours, what stands behind it is theirs.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["NOTES_MARK", "write_page"]

NOTES_MARK = "<!-- Written by hand from here on: kept when this page is written again. -->"


def write_page(path: Path, page: str) -> None:
    """Write a page's figures anew, and leave the notes behind the mark as they are."""
    notes = "\n"
    if path.exists():
        _, mark, rest = path.read_text(encoding="utf-8").partition(NOTES_MARK)
        notes = rest if mark else "\n"
    path.write_text(f"{page.rstrip()}\n\n{NOTES_MARK}{notes}", encoding="utf-8")
