"""What is made from the code is up to date: the README's table of settings."""

from __future__ import annotations

from pathlib import Path

from fimble_server.settings import settings_table_markdown

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- settings -->\n", "\n<!-- /settings -->"


def test_the_readme_s_settings_are_the_code_s() -> None:
    """The table between the marks is what `settings_table_markdown()` says."""
    text = README.read_text(encoding="utf-8")
    assert text[text.index(START) + len(START) : text.index(END)] == settings_table_markdown()
