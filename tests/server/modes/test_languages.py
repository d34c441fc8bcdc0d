"""The table of languages holds together, and what it does not know is plain text."""

from __future__ import annotations

import pytest

from fimble_server.document import grammars
from fimble_server.document.grammars import try_load_grammar
from fimble_server.document.languages import (
    LANGUAGES,
    PLAIN,
    BlockKind,
    Language,
    language_for_id,
    language_for_path,
)
from fimble_server.document.lexemes import lexicon_of
from fimble_server.document.syntax import inspect, parse


def test_no_name_is_taken_twice() -> None:
    """Ids, extensions and file names lead to one language each."""
    for names in (
        [name for row in LANGUAGES for name in (row.language_id, *row.aliases)],
        [extension for language in LANGUAGES for extension in language.extensions],
        [name for language in LANGUAGES for name in language.filenames],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.language_id)
def test_a_row_is_whole(language: Language) -> None:
    """Its grammar loads, its patterns match any text to its end, its clauses are words."""
    assert language.grammar_id is None or try_load_grammar(language.grammar_id)
    text = "a 'b\n\"c` /d # e // f /* g -- h {[( )]} é😀\\"
    position = 0
    while position < len(text):
        found = lexicon_of(language).lexeme.match(text, position)
        assert found is not None
        assert found.end() > position
        position = found.end()
    assert all(clause.isidentifier() for clause in language.clauses)
    assert language_for_id(language.language_id) is language


@pytest.mark.parametrize(
    ("path", "language_id"),
    [
        *[("a.py", "python"), ("A.PY", "python"), ("b.d.ts", "typescript"), ("c.h", "c")],
        *[("C:\\x\\y.rs", "rust"), ("/x/Makefile", "makefile"), ("Dockerfile", "dockerfile")],
        *[("noextension", "plaintext"), ("", "plaintext"), (".", "plaintext"), ("a.", "plaintext")],
    ],
)
def test_a_path_has_a_language(path: str, language_id: str) -> None:
    """The last extension decides, in either case; a name without one is plain text."""
    assert language_for_path(path).language_id == language_id


def test_an_unknown_id_is_plain_text() -> None:
    """An editor may send any id."""
    assert language_for_id("klingon") is PLAIN


@pytest.mark.parametrize("missing", ["tree_sitter_no_such_wheel", "json"])
def test_a_missing_grammar_is_no_grammar(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without its wheel, or with another in its place, the text alone decides as it can."""
    text = "def f(rows):\n    for row in rows:\n        \n    return rows\n"
    monkeypatch.setattr(grammars, "_WHEELS", {"python": (missing, "language")})
    grammars.try_load_grammar.cache_clear()
    try:
        parsed = parse(language_for_id("python"), text)
    finally:
        monkeypatch.undo()
        grammars.try_load_grammar.cache_clear()
    assert parsed.tree is None
    block = inspect(parsed, text.index("        \n") + 8).block
    assert (block.kind, block.header_column) == (BlockKind.LOOP, 4)


@pytest.mark.parametrize(
    ("name", "language_id"),
    [
        ("sh", "shellscript"),
        ("cs", "csharp"),
        ("c++", "cpp"),
        ("javascript.jsx", "javascriptreact"),
    ],
)
def test_editors_have_their_own_names(name: str, language_id: str) -> None:
    """Neovim's and Emacs' names of a language lead to the same row as LSP's."""
    assert language_for_id(name).language_id == language_id


@pytest.mark.parametrize(
    "text",
    ["`a ${b ? `c ${d}` : ''} e`;", "`a ${f({ b: 1 })} c`;", "`a $ {b`;"],
)
def test_a_template_string_ends_behind_the_code_in_it(text: str) -> None:
    """The strings and braces of that code are not its end."""
    found = lexicon_of(language_for_id("typescript")).lexeme.match(text)
    assert found is not None
    assert found.group() == text.removesuffix(";")
