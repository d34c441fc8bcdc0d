"""The one table of languages: names, file extensions, grammar, comments, strings, blocks.

Owns the rows, and finding one by an editor's name or a path. Unknown names get the plain
language, never an error. Knows nothing of buffers, cursors or syntax trees; `grammars.py` loads
the grammars.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fimble_server.document.language import BlockKind, Language, Layout, StringForm

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


_SINGLE = StringForm(opener="'", closer="'")
_DOUBLE = StringForm(opener='"', closer='"')
_QUOTES = (_DOUBLE, _SINGLE)
_TRIPLE_DOUBLE = StringForm(opener='"""', closer='"""', is_multiline=True)
_TRIPLE_SINGLE = StringForm(opener="'''", closer="'''", is_multiline=True)
_TEMPLATE = StringForm(opener="`", closer="`", is_multiline=True, has_code=True)
_RAW_BACKTICK = StringForm(opener="`", closer="`", is_multiline=True, has_escapes=False)
_RAW_CPP = StringForm(opener='R"(', closer=')"', is_multiline=True, has_escapes=False)
_MULTILINE_DOUBLE = StringForm(opener='"', closer='"', is_multiline=True)
_RAW_RUST = (
    StringForm(opener='r##"', closer='"##', is_multiline=True, has_escapes=False),
    StringForm(opener='r#"', closer='"#', is_multiline=True, has_escapes=False),
    StringForm(opener='r"', closer='"', is_multiline=True, has_escapes=False),
)
_MULTILINE_SINGLE = StringForm(opener="'", closer="'", is_multiline=True)
_RAW_SINGLE = StringForm(opener="'", closer="'", is_multiline=True, has_escapes=False)
_LONG_BRACKETS = StringForm(opener="[[", closer="]]", is_multiline=True, has_escapes=False)
# A doubled quote in it ends one such string and begins a plain one: as good for our purpose.
_VERBATIM = StringForm(opener='@"', closer='"', is_multiline=True, has_escapes=False)
_SLASH_STAR = (("/*", "*/"),)

_K = BlockKind
_PYTHON_HEADERS = MappingProxyType(
    {"def": _K.FUNCTION, "class": _K.CLASS, "if": _K.IF, "elif": _K.IF, "else": _K.IF}
    | {"for": _K.LOOP, "while": _K.LOOP, "try": _K.TRY, "except": _K.TRY, "finally": _K.TRY}
    | {"with": _K.WITH, "match": _K.SWITCH, "case": _K.CASE}
)
_BRACE_HEADERS = MappingProxyType(
    {"if": _K.IF, "else": _K.IF, "elseif": _K.IF, "for": _K.LOOP, "while": _K.LOOP}
    | {"do": _K.LOOP, "loop": _K.LOOP, "foreach": _K.LOOP, "try": _K.TRY, "catch": _K.TRY}
    | {"finally": _K.TRY, "switch": _K.SWITCH, "match": _K.SWITCH, "select": _K.SWITCH}
    | {"case": _K.CASE, "default": _K.CASE, "function": _K.FUNCTION, "func": _K.FUNCTION}
    | {"fn": _K.FUNCTION, "fun": _K.FUNCTION, "class": _K.CLASS, "interface": _K.CLASS}
    | {"struct": _K.CLASS, "enum": _K.CLASS, "trait": _K.CLASS, "impl": _K.CLASS}
    | {"record": _K.CLASS, "union": _K.CLASS, "namespace": _K.NAMESPACE, "mod": _K.NAMESPACE}
    | {"extern": _K.NAMESPACE, "synchronized": _K.WITH, "using": _K.WITH, "unsafe": _K.WITH}
    | {"lock": _K.WITH}
)
_WORD_HEADERS = MappingProxyType(
    {"if": _K.IF, "elsif": _K.IF, "elseif": _K.IF, "elif": _K.IF, "else": _K.IF, "then": _K.IF}
    | {"unless": _K.IF, "for": _K.LOOP, "while": _K.LOOP, "until": _K.LOOP, "repeat": _K.LOOP}
    | {"begin": _K.TRY, "rescue": _K.TRY, "ensure": _K.TRY, "case": _K.SWITCH, "when": _K.CASE}
    | {"in": _K.CASE, "def": _K.FUNCTION, "defp": _K.FUNCTION, "function": _K.FUNCTION}
    | {"do": _K.LOOP, "class": _K.CLASS, "module": _K.NAMESPACE, "defmodule": _K.NAMESPACE}
)
_PYTHON_CLAUSES = frozenset({"else", "elif", "except", "finally", "case"})
_BRACE_CLAUSES = frozenset({"else", "catch", "finally", "case", "default"})
_PHP_CLAUSES = _BRACE_CLAUSES | {"elseif", "endif", "endfor", "endforeach", "endwhile", "endswitch"}
_WORD_CLAUSES = frozenset({"else", "elsif", "elseif", "elif", "rescue", "ensure", "when"})
_JUMPS = frozenset({"return", "break", "continue"})
_THROWING_JUMPS = _JUMPS | {"throw"}


def _braces(language_id: str, *extensions: str, **others: object) -> Language:
    values: dict[str, object] = {
        "line_comments": ("//",),
        "block_comments": _SLASH_STAR,
        "strings": _QUOTES,
        "headers": _BRACE_HEADERS,
        "clauses": _BRACE_CLAUSES,
        "jumps": _THROWING_JUMPS,
    } | others
    return Language(
        language_id=language_id,
        extensions=extensions,
        layout=Layout.BRACES,
        **values,  # type: ignore[arg-type]  # the table's own keywords, checked by its tests
    )


def _script(
    language_id: str, grammar_id: str, *extensions: str, aliases: tuple[str, ...] = ()
) -> Language:
    return _braces(
        language_id,
        *extensions,
        aliases=aliases,
        grammar_id=grammar_id,
        strings=(*_QUOTES, _TEMPLATE),
        has_regex_literals=True,
    )


def _words(language_id: str, comment: str, *extensions: str, **others: object) -> Language:
    values: dict[str, object] = {
        "line_comments": (comment,),
        "strings": _QUOTES,
        "headers": _WORD_HEADERS,
        "clauses": _WORD_CLAUSES,
        "closing_words": frozenset({"end"}),
    } | others
    return Language(
        language_id=language_id,
        extensions=extensions,
        **values,  # type: ignore[arg-type]  # the table's own keywords, checked by its tests
    )


# Nothing in them branches or jumps.
_DATA: Mapping[str, object] = {"headers": {}, "clauses": frozenset(), "jumps": frozenset()}
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
        jumps=_JUMPS | {"raise"},
        clauses=_PYTHON_CLAUSES,
    ),
    _script("javascript", "javascript", ".js", ".mjs", ".cjs", aliases=("js",)),
    _script("javascriptreact", "javascript", ".jsx", aliases=("javascript.jsx", "jsx")),
    _script("typescript", "typescript", ".ts", ".mts", ".cts"),
    _script("typescriptreact", "tsx", ".tsx", aliases=("typescript.tsx", "tsx")),
    _braces(
        "go",
        ".go",
        grammar_id="go",
        strings=(*_QUOTES, _RAW_BACKTICK),
        jumps=_JUMPS | {"goto", "panic", "fallthrough"},
    ),
    _braces(
        "rust",
        ".rs",
        grammar_id="rust",
        strings=(*_RAW_RUST, _MULTILINE_DOUBLE),
        jumps=_JUMPS | {"panic", "unreachable", "todo", "unimplemented"},
        has_lifetimes=True,
    ),
    _braces("java", ".java", grammar_id="java", strings=_JAVA_STRINGS, jumps=_THROWING_JUMPS),
    _braces("c", ".c", ".h", grammar_id="c", jumps=_JUMPS | {"goto"}),
    _braces(
        "cpp",
        *(".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
        aliases=("c++",),
        grammar_id="cpp",
        strings=(_RAW_CPP, *_QUOTES),
        jumps=_THROWING_JUMPS | {"goto"},
    ),
    _braces(
        "csharp",
        ".cs",
        aliases=("cs", "c-sharp"),
        grammar_id="csharp",
        strings=(_TRIPLE_DOUBLE, _VERBATIM, *_QUOTES),
        jumps=_THROWING_JUMPS | {"goto"},
    ),
    _braces(
        "php",
        ".php",
        grammar_id="php",
        line_comments=("//", "#"),
        strings=(_MULTILINE_DOUBLE, _MULTILINE_SINGLE),
        clauses=_PHP_CLAUSES,
        jumps=_THROWING_JUMPS | {"exit", "die"},
    ),
    _braces("kotlin", ".kt", ".kts", strings=_JAVA_STRINGS),
    _braces("swift", ".swift", strings=(_TRIPLE_DOUBLE, _DOUBLE)),
    _braces("scala", ".scala", strings=_JAVA_STRINGS),
    _braces("dart", ".dart"),
    # Braces of JSON hold no statements: they are brackets like any other.
    Language(language_id="json", extensions=(".json",), grammar_id="json", strings=(_DOUBLE,)),
    Language(
        language_id="jsonc",
        extensions=(".jsonc",),
        grammar_id="json",
        line_comments=("//",),
        block_comments=_SLASH_STAR,
        strings=(_DOUBLE,),
    ),
    _braces("css", ".css", grammar_id="css", line_comments=(), **_DATA),
    _braces("scss", ".scss", **_DATA),
    _braces("less", ".less", **_DATA),
    _words(
        "ruby",
        "#",
        *(".rb", ".rake", ".gemspec"),
        filenames=("Rakefile", "Gemfile"),
        grammar_id="ruby",
        clauses=_WORD_CLAUSES | {"in"},
        jumps=frozenset({"return", "next", "break", "redo", "retry", "raise"}),
        modifiers=frozenset({"if", "unless"}),
        block_openers=(
            r"\bdo\b\s*(?:\|[^|]*\|)?$|\{\s*\|[^|]*\|$|=\s*(?:if|unless|case|begin)\b[^;]*$"
        ),
    ),
    _words(
        "lua",
        "--",
        ".lua",
        grammar_id="lua",
        block_comments=(("--[[", "]]"),),
        strings=(*_QUOTES, _LONG_BRACKETS),
        clauses=frozenset({"else", "elseif"}),
        closing_words=frozenset({"end", "until"}),
        jumps=frozenset({"return", "break", "goto"}),
        block_openers=r"\bfunction\b\s*[\w.:]*\([^)]*\)$|\b(?:do|then)$",
    ),
    _words(
        "shellscript",
        "#",
        *(".sh", ".bash", ".zsh"),
        aliases=("sh", "bash", "zsh", "shell"),
        filenames=(".bashrc", ".zshrc"),
        grammar_id="bash",
        strings=(_MULTILINE_DOUBLE, _RAW_SINGLE),
        clauses=frozenset({"else", "elif"}),
        closing_words=frozenset({"fi", "done", "esac"}),
        jumps=_JUMPS | {"exit", "exec"},
        block_openers=r"\{$|\b(?:do|then)$",
        brackets="()[]",
        comments_begin_words=True,
        has_case_parentheses=True,
    ),
    _words(
        "elixir",
        "#",
        *(".ex", ".exs"),
        strings=(_TRIPLE_DOUBLE, *_QUOTES),
        jumps=frozenset({"raise", "throw"}),
        block_openers=r"\bdo$|->$",
    ),
    Language(
        language_id="yaml",
        aliases=("yml",),
        extensions=(".yaml", ".yml"),
        grammar_id="yaml",
        line_comments=("#",),
        comments_begin_words=True,
        strings=_QUOTES,
    ),
    Language(
        language_id="toml",
        extensions=(".toml",),
        grammar_id="toml",
        line_comments=("#",),
        strings=(_TRIPLE_DOUBLE, _TRIPLE_SINGLE, *_QUOTES),
    ),
    Language(language_id="ini", extensions=(".ini", ".cfg"), line_comments=("#", ";")),
    Language(
        language_id="html",
        extensions=(".html", ".htm"),
        grammar_id="html",
        block_comments=(("<!--", "-->"),),
    ),
    Language(language_id="xml", extensions=(".xml",), block_comments=(("<!--", "-->"),)),
    Language(
        language_id="sql",
        extensions=(".sql",),
        grammar_id="sql",
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
        aliases=("make",),
        extensions=(".mk",),
        filenames=("Makefile", "GNUmakefile"),
        line_comments=("#",),
    ),
    Language(language_id="markdown", extensions=(".md", ".markdown"), grammar_id="markdown"),
    PLAIN,
)

_BY_ID = {
    name: language for language in LANGUAGES for name in (language.language_id, *language.aliases)
}
_BY_EXTENSION = {extension: language for language in LANGUAGES for extension in language.extensions}
_BY_FILENAME = {name: language for language in LANGUAGES for name in language.filenames}


def language_for_id(language_id: str) -> Language:
    """The language of an LSP language id; the plain one where it is unknown.

    >>> language_for_id("go").grammar_id
    'go'
    >>> language_for_id("sh").language_id, language_for_id("klingon").language_id
    ('shellscript', 'plaintext')
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
