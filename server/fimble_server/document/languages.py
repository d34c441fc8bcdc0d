"""The one table of languages: names, file extensions, grammar, comments, strings, blocks.

Owns what is true of a language whatever the file. Unknown names get the plain language, never
an error. Knows nothing of buffers, cursors or syntax trees; `grammars.py` loads the grammars.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "LANGUAGES",
    "PLAIN",
    "BlockKind",
    "Language",
    "Layout",
    "StringForm",
    "language_for_id",
    "language_for_path",
]


class BlockKind(enum.Enum):
    """What a block is the body of."""

    MODULE = "module"
    FUNCTION = "function"
    CLASS = "class"
    IF = "if"
    LOOP = "loop"
    TRY = "try"
    WITH = "with"
    SWITCH = "switch"
    CASE = "case"
    BRACKETS = "brackets"
    OTHER = "other"


class Layout(enum.Enum):
    """What says where a block ends: its indentation, or a closing brace."""

    INDENTATION = "indentation"
    BRACES = "braces"


@dataclass(frozen=True, slots=True, kw_only=True)
class StringForm:
    """How one form of string literal opens and closes, and whether it may hold line ends."""

    opener: str
    closer: str
    is_multiline: bool = False
    has_escapes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Language:
    """One row of the table, equal to itself alone.

    `headers` maps the words that open a block to the kind of the block.
    `clauses` are the words that begin a sibling of a block (`else`, `except`, `case`);
    `closing_words` end a block in languages that close by word (`end`, `fi`); nothing of a block
    follows a statement that begins with one of its `jumps`.
    `grammar_id` names a tree-sitter grammar, None where there is none.
    """

    language_id: str
    extensions: tuple[str, ...] = ()
    filenames: tuple[str, ...] = ()
    grammar_id: str | None = None
    layout: Layout = Layout.INDENTATION
    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    strings: tuple[StringForm, ...] = ()
    headers: Mapping[str, BlockKind] = field(default_factory=dict)
    clauses: frozenset[str] = frozenset()
    closing_words: frozenset[str] = frozenset()
    jumps: frozenset[str] = frozenset()
    has_regex_literals: bool = False
    has_lifetimes: bool = False


_SINGLE = StringForm(opener="'", closer="'")
_DOUBLE = StringForm(opener='"', closer='"')
_QUOTES = (_DOUBLE, _SINGLE)
_TRIPLE_DOUBLE = StringForm(opener='"""', closer='"""', is_multiline=True)
_TRIPLE_SINGLE = StringForm(opener="'''", closer="'''", is_multiline=True)
_BACKTICK = StringForm(opener="`", closer="`", is_multiline=True)
_RAW_BACKTICK = StringForm(opener="`", closer="`", is_multiline=True, has_escapes=False)
_RAW_CPP = StringForm(opener='R"(', closer=')"', is_multiline=True, has_escapes=False)
_MULTILINE_DOUBLE = StringForm(opener='"', closer='"', is_multiline=True)
_RAW_RUST = (
    StringForm(opener='r##"', closer='"##', is_multiline=True, has_escapes=False),
    StringForm(opener='r#"', closer='"#', is_multiline=True, has_escapes=False),
    StringForm(opener='r"', closer='"', is_multiline=True, has_escapes=False),
)
_SLASH_STAR = (("/*", "*/"),)

_K = BlockKind
_PYTHON_HEADERS = MappingProxyType(
    {"def": _K.FUNCTION, "class": _K.CLASS, "if": _K.IF, "elif": _K.IF, "else": _K.IF}
    | {"for": _K.LOOP, "while": _K.LOOP, "try": _K.TRY, "except": _K.TRY, "finally": _K.TRY}
    | {"with": _K.WITH, "match": _K.SWITCH, "case": _K.CASE}
)
_BRACE_HEADERS = MappingProxyType(
    {"if": _K.IF, "else": _K.IF, "for": _K.LOOP, "while": _K.LOOP, "do": _K.LOOP}
    | {"loop": _K.LOOP, "foreach": _K.LOOP, "try": _K.TRY, "catch": _K.TRY, "finally": _K.TRY}
    | {"switch": _K.SWITCH, "match": _K.SWITCH, "select": _K.SWITCH, "case": _K.CASE}
    | {"function": _K.FUNCTION, "func": _K.FUNCTION, "fn": _K.FUNCTION, "fun": _K.FUNCTION}
    | {"class": _K.CLASS, "interface": _K.CLASS, "struct": _K.CLASS, "enum": _K.CLASS}
    | {"trait": _K.CLASS, "impl": _K.CLASS, "namespace": _K.CLASS, "union": _K.CLASS}
    | {"synchronized": _K.WITH, "using": _K.WITH, "unsafe": _K.WITH, "default": _K.CASE}
)
_WORD_HEADERS = MappingProxyType(
    {"if": _K.IF, "elsif": _K.IF, "elseif": _K.IF, "elif": _K.IF, "else": _K.IF}
    | {"unless": _K.IF, "for": _K.LOOP, "while": _K.LOOP, "until": _K.LOOP, "repeat": _K.LOOP}
    | {"begin": _K.TRY, "rescue": _K.TRY, "ensure": _K.TRY, "case": _K.SWITCH, "when": _K.CASE}
    | {"def": _K.FUNCTION, "function": _K.FUNCTION, "local": _K.OTHER, "do": _K.OTHER}
    | {"class": _K.CLASS, "module": _K.CLASS}
)
_PYTHON_CLAUSES = frozenset({"else", "elif", "except", "finally", "case"})
_BRACE_CLAUSES = frozenset({"else", "catch", "finally", "case", "default"})
_WORD_CLAUSES = frozenset({"else", "elsif", "elseif", "elif", "rescue", "ensure", "when"})


def _braces(language_id: str, *extensions: str, **others: object) -> Language:
    values: dict[str, object] = {
        "line_comments": ("//",),
        "block_comments": _SLASH_STAR,
        "strings": _QUOTES,
        "headers": _BRACE_HEADERS,
        "clauses": _BRACE_CLAUSES,
    } | others
    return Language(
        language_id=language_id,
        extensions=extensions,
        layout=Layout.BRACES,
        **values,  # type: ignore[arg-type]  # the table's own keywords, checked by its tests
    )


def _script(language_id: str, grammar_id: str, *extensions: str) -> Language:
    strings = (*_QUOTES, _BACKTICK)
    return _braces(
        language_id, *extensions, grammar_id=grammar_id, strings=strings, has_regex_literals=True
    )


def _words(language_id: str, comment: str, *extensions: str, **others: object) -> Language:
    values: dict[str, object] = {
        "line_comments": (comment,),
        "strings": _QUOTES,
        "headers": _WORD_HEADERS,
        "clauses": _WORD_CLAUSES,
        "closing_words": frozenset({"end", "fi", "done", "esac", "until"}),
    } | others
    return Language(
        language_id=language_id,
        extensions=extensions,
        **values,  # type: ignore[arg-type]  # the table's own keywords, checked by its tests
    )


_JAVA_STRINGS = (_TRIPLE_DOUBLE, *_QUOTES)

PLAIN = Language(language_id="plaintext", extensions=(".txt",))

LANGUAGES: tuple[Language, ...] = (
    Language(
        language_id="python",
        extensions=(".py", ".pyi", ".pyw"),
        grammar_id="python",
        line_comments=("#",),
        strings=(_TRIPLE_DOUBLE, _TRIPLE_SINGLE, *_QUOTES),
        headers=_PYTHON_HEADERS,
        jumps=frozenset({"return", "raise", "break", "continue"}),
        clauses=_PYTHON_CLAUSES,
    ),
    _script("javascript", "javascript", ".js", ".mjs", ".cjs"),
    _script("javascriptreact", "javascript", ".jsx"),
    _script("typescript", "typescript", ".ts", ".mts", ".cts"),
    _script("typescriptreact", "tsx", ".tsx"),
    _braces("go", ".go", grammar_id="go", strings=(*_QUOTES, _RAW_BACKTICK)),
    _braces(
        "rust",
        ".rs",
        grammar_id="rust",
        strings=(*_RAW_RUST, _MULTILINE_DOUBLE),
        has_lifetimes=True,
    ),
    _braces("java", ".java", grammar_id="java", strings=_JAVA_STRINGS),
    _braces("c", ".c", ".h", grammar_id="c"),
    _braces(
        "cpp",
        *(".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
        grammar_id="cpp",
        strings=(_RAW_CPP, *_QUOTES),
    ),
    _braces("csharp", ".cs"),
    _braces("php", ".php", line_comments=("//", "#")),
    _braces("kotlin", ".kt", ".kts", strings=_JAVA_STRINGS),
    _braces("swift", ".swift", strings=(_TRIPLE_DOUBLE, _DOUBLE)),
    _braces("scala", ".scala", strings=_JAVA_STRINGS),
    _braces("dart", ".dart"),
    _braces("json", ".json", strings=(_DOUBLE,), line_comments=(), block_comments=()),
    _braces("jsonc", ".jsonc", strings=(_DOUBLE,)),
    _braces("css", ".css", line_comments=()),
    _braces("scss", ".scss"),
    _braces("less", ".less"),
    _words("ruby", "#", ".rb", ".rake", filenames=("Rakefile", "Gemfile")),
    _words("lua", "--", ".lua", block_comments=(("--[[", "]]"),)),
    _words("shellscript", "#", ".sh", ".bash", ".zsh", filenames=(".bashrc", ".zshrc")),
    _words("elixir", "#", ".ex", ".exs"),
    Language(
        language_id="yaml", extensions=(".yaml", ".yml"), line_comments=("#",), strings=_QUOTES
    ),
    Language(
        language_id="toml",
        extensions=(".toml",),
        line_comments=("#",),
        strings=(_TRIPLE_DOUBLE, *_QUOTES),
    ),
    Language(language_id="ini", extensions=(".ini", ".cfg"), line_comments=("#", ";")),
    Language(language_id="html", extensions=(".html", ".htm"), block_comments=(("<!--", "-->"),)),
    Language(language_id="xml", extensions=(".xml",), block_comments=(("<!--", "-->"),)),
    Language(
        language_id="sql",
        extensions=(".sql",),
        line_comments=("--",),
        block_comments=_SLASH_STAR,
        strings=_QUOTES,
    ),
    Language(
        language_id="dockerfile",
        extensions=(".dockerfile",),
        filenames=("Dockerfile",),
        line_comments=("#",),
    ),
    Language(
        language_id="makefile",
        extensions=(".mk",),
        filenames=("Makefile", "GNUmakefile"),
        line_comments=("#",),
    ),
    Language(language_id="markdown", extensions=(".md", ".markdown")),
    PLAIN,
)

_BY_ID = {language.language_id: language for language in LANGUAGES}
_BY_EXTENSION = {extension: language for language in LANGUAGES for extension in language.extensions}
_BY_FILENAME = {name: language for language in LANGUAGES for name in language.filenames}


def language_for_id(language_id: str) -> Language:
    """The language of an LSP language id; the plain one where it is unknown.

    >>> language_for_id("go").grammar_id
    'go'
    >>> language_for_id("klingon").language_id
    'plaintext'
    """
    return _BY_ID.get(language_id, PLAIN)


def language_for_path(path: str) -> Language:
    """The language of a file by its name alone; the plain one where it is unknown.

    >>> language_for_path("/a/b.tsx").language_id
    'typescriptreact'
    """
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    if name in _BY_FILENAME:
        return _BY_FILENAME[name]
    _, dot, extension = name.rpartition(".")
    return _BY_EXTENSION.get(f"{dot}{extension}".lower(), PLAIN)
