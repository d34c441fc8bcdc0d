"""A page of results is written again without what was written by hand below it being lost."""

from __future__ import annotations

from pathlib import Path

from fimble_eval.kept_notes import NOTES_MARK, write_page


def test_figures_are_replaced_and_notes_stay(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_page(path, "# First\n")
    path.write_text(path.read_text(encoding="utf-8") + "\nA note, 😀.\n", encoding="utf-8")
    write_page(path, "# Second\n")
    once = path.read_text(encoding="utf-8")
    assert once == f"# Second\n\n{NOTES_MARK}\n\nA note, 😀.\n"
    write_page(path, "# Second\n")
    assert path.read_text(encoding="utf-8") == once
