"""The languages of the corpus: how a file is recognised, how it comments, what parses it.

Owns this one table. Never reads a file; a path that matches no entry is no program text to us.
"""

from __future__ import annotations

import functools
import importlib
import logging
from dataclasses import dataclass
from pathlib import PurePosixPath

from tree_sitter import Language as Grammar
from tree_sitter import Parser

__all__ = ["LANGUAGES", "Language", "find_language", "language_of", "try_parser"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language. `block_comments` are pairs of what opens and what closes a comment.

    `grammar` names the module of a tree-sitter wheel and the function in it. `is_data` marks
    what is written to be read by machines or people rather than run: such files are kept short.
    """

    name: str
    suffixes: tuple[str, ...]
    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    grammar: tuple[str, str] | None = None
    is_data: bool = False


_C_BLOCK = (("/*", "*/"),)
_MARKUP_BLOCK = (("<!--", "-->"),)

LANGUAGES = (
    Language(
        name="python",
        suffixes=(".py", ".pyi"),
        line_comments=("#",),
        grammar=("tree_sitter_python", "language"),
    ),
    Language(
        name="javascript",
        suffixes=(".js", ".mjs", ".cjs", ".jsx"),
        line_comments=("//", "#!"),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_javascript", "language"),
    ),
    Language(
        name="typescript",
        suffixes=(".ts", ".mts", ".cts"),
        line_comments=("//", "#!"),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_typescript", "language_typescript"),
    ),
    Language(
        name="tsx",
        suffixes=(".tsx",),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_typescript", "language_tsx"),
    ),
    Language(
        name="c",
        suffixes=(".c", ".h"),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_c", "language"),
    ),
    Language(
        name="cpp",
        suffixes=(".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".ipp"),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_cpp", "language"),
    ),
    Language(
        name="go",
        suffixes=(".go",),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_go", "language"),
    ),
    Language(
        name="rust",
        suffixes=(".rs",),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_rust", "language"),
    ),
    Language(
        name="java",
        suffixes=(".java",),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        grammar=("tree_sitter_java", "language"),
    ),
    Language(
        name="lua",
        suffixes=(".lua",),
        line_comments=("--",),
        block_comments=(("--[[", "]]"), ("--[=[", "]=]")),
    ),
    Language(name="shell", suffixes=(".sh", ".bash", ".zsh"), line_comments=("#",)),
    Language(name="sql", suffixes=(".sql",), line_comments=("--",), block_comments=_C_BLOCK),
    Language(name="html", suffixes=(".html", ".htm"), block_comments=_MARKUP_BLOCK, is_data=True),
    Language(
        name="css",
        suffixes=(".css", ".scss", ".less"),
        line_comments=("//",),
        block_comments=_C_BLOCK,
        is_data=True,
    ),
    Language(name="json", suffixes=(".json",), is_data=True),
    Language(name="yaml", suffixes=(".yaml", ".yml"), line_comments=("#",), is_data=True),
    Language(name="toml", suffixes=(".toml",), line_comments=("#",), is_data=True),
    Language(name="markdown", suffixes=(".md",), block_comments=_MARKUP_BLOCK, is_data=True),
)

_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
_BY_NAME = {language.name: language for language in LANGUAGES}


def language_of(path: str) -> Language | None:
    """The language of a file, by its name alone.

    >>> language_of("src/lib.rs").name, language_of("LICENSE")
    ('rust', None)
    """
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower())


def find_language(name: str) -> Language | None:
    """The language of that name."""
    return _BY_NAME.get(name)


@functools.cache
def try_parser(name: str) -> Parser | None:
    """A parser for a language, or None where it has no grammar or the wheel does not fit."""
    language = find_language(name)
    if language is None or language.grammar is None:
        return None
    module_name, function_name = language.grammar
    try:
        grammar = getattr(importlib.import_module(module_name), function_name)()
        return Parser(Grammar(grammar))
    except (ImportError, AttributeError, ValueError) as error:
        log.warning("no grammar for %s: %s", name, type(error).__name__)
        return None
