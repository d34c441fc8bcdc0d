"""Lexemes: text cut into strings, comments, brackets, words and the rest, by one regex a language.

Owns the patterns. They match at every position, so cutting never stops short, and what they
match does not change when more text follows, save for a lexeme that touches the end. Knows
no grammar: that is enough to tell a brace in a string from one that closes a block.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass

from fimble_server.document.languages import Language, StringForm

__all__ = ["TAB_COLUMNS", "LexemeKind", "Lexicon", "column_at", "lexicon_of", "n_columns"]

_REST_OF_REGEX = r"(?:\\.|\[(?:\\.|[^\]\\\n])*+(?:\]|(?=\n)|\\?\Z)|[^/\\\n\[])*+(?:/|(?=\n)|\\?\Z)"
_INDENT = re.compile(r"[ \t\f]*")

TAB_COLUMNS = 8  # As Python's tokenizer counts; only comparisons between lines matter.


class LexemeKind(enum.IntEnum):
    """The number of the group that matched."""

    NEWLINE = 1
    SPACE = 2
    STRING = 3
    COMMENT = 4
    OPENER = 5
    CLOSER = 6
    WORD = 7
    PUNCTUATION = 8
    OTHER = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """A language's patterns.

    `lexeme` matches one lexeme of any kind, `structure` the same but with words, spaces and
    signs in one run of OTHER, and `brackets` with ends of lines in that run too. `remainders`
    maps what opened a string or comment to the pattern of the rest of it, for text that starts
    inside.
    """

    lexeme: re.Pattern[str]
    structure: re.Pattern[str]
    brackets: re.Pattern[str]
    remainders: dict[str, re.Pattern[str]]


def n_columns(whitespace: str) -> int:
    """How far whitespace at the start of a line indents.

    >>> n_columns("    "), n_columns("\\t"), n_columns("  \\t")
    (4, 8, 8)
    """
    return len(whitespace.expandtabs(TAB_COLUMNS)) if "\t" in whitespace else len(whitespace)


def column_at(text: str, offset: int) -> int:
    """How far the line that holds an offset is indented."""
    start = text.rfind("\n", 0, offset) + 1
    found = _INDENT.match(text, start)
    return n_columns(found.group()) if found else 0


# Code in a template string, to where its brace is closed: strings and braces in it, none deeper.
_IN_TEMPLATE = (
    r"\$\{(?:[^{}`]|`(?:\\[\s\S]|[^`\\])*+(?:`|\\?\Z)|\{(?:[^{}`])*+(?:\}|\Z))*+(?:\}|\Z)|"
)


def _rest_of_string(form: StringForm) -> str:
    first, closer = re.escape(form.closer[0]), re.escape(form.closer)
    escape = r"\\[\s\S]|" if form.has_escapes else ""
    excluded = first + ("" if form.is_multiline else r"\n") + (r"\\" if escape else "")
    plain = rf"[^{excluded}]"
    almost = rf"|{first}(?!{re.escape(form.closer[1:])})" if len(form.closer) > 1 else ""
    line_end = "" if form.is_multiline else r"|(?=\n)"
    code = _IN_TEMPLATE if form.has_code else ""
    return rf"(?:{escape}{code}{plain}{almost})*+(?:{closer}{line_end}|\\?\Z)"


def _rest_of_block_comment(closer: str) -> str:
    return rf"(?:(?!{re.escape(closer)})[\s\S])*+(?:{re.escape(closer)}|\Z)"


def _string_patterns(language: Language) -> list[str]:
    patterns = [re.escape(form.opener) + _rest_of_string(form) for form in language.strings]
    if language.has_lifetimes:
        # 'x' and '\n' are characters, 'a is a lifetime; what may still become either waits.
        patterns += [r"'(?:\\[^\n']*+|[^\\'\n])'", r"'\\?[^'\n]?\Z"]
    if language.has_regex_literals:
        # A slash divides unless an operator, a comma, an opening bracket or a line start precedes.
        before = r"(?:(?<=[(,=:\[!&|?{;])|(?<=[(,=:\[!&|?{;] ))"
        patterns.append(before + r"/(?![/*])" + _REST_OF_REGEX)
    return patterns


def _comment_patterns(language: Language) -> list[str]:
    blocks = [
        re.escape(opener) + _rest_of_block_comment(closer)
        for opener, closer in language.block_comments
    ]
    before = r"(?<![^\s;(&|])" if language.comments_begin_words else ""
    return blocks + [rf"{before}{re.escape(opener)}[^\n]*+" for opener in language.line_comments]


def _special_characters(language: Language) -> str:
    openers = [form.opener[-1] for form in language.strings]
    openers += [form.opener[0] for form in language.strings if not form.opener[0].isalnum()]
    openers += [opener[0] for opener, _ in language.block_comments]
    openers += [opener[0] for opener in language.line_comments]
    openers += ["'"] if language.has_lifetimes else []
    openers += ["/"] if language.has_regex_literals else []
    return "".join(sorted(set(openers)))


def _word_like_openers(language: Language) -> str:
    """What keeps a run of other text from running into a string such as `r#"`."""
    openers = [form.opener for form in language.strings if form.opener[0].isalnum()]
    return rf"(?!\b(?:{'|'.join(map(re.escape, openers))}))" if openers else ""


def _alternatives(patterns: list[str]) -> str:
    return "|".join(patterns) if patterns else r"(?!)"


def _begun_openers(language: Language) -> str:
    """What may become an opener of several characters when more text comes."""
    openers = [form.opener for form in language.strings] + list(language.line_comments)
    openers += [opener for opener, _ in language.block_comments]
    begun = {opener[:end] for opener in openers for end in range(1, len(opener))}
    return _alternatives([re.escape(text) + r"\Z" for text in sorted(begun, reverse=True)])


@functools.cache
def lexicon_of(language: Language) -> Lexicon:
    """The language's patterns, compiled once."""
    comments, strings = _comment_patterns(language), _string_patterns(language)
    special = re.escape(_special_characters(language))
    openers, closers = re.escape(language.brackets[::2]), re.escape(language.brackets[1::2])
    brackets = re.escape(language.brackets)
    shared = rf"({_alternatives(strings)})|({_alternatives(comments)})|([{openers}])|([{closers}])"
    lexeme = (
        rf"(\n)|([ \t\r\f]++)|{shared}|(?:{_begun_openers(language)})|(\w++)|(::|:=|[;,:])"
        rf"|([^\w\s{brackets};,:{special}]++|[\s\S])"
    )
    begins_string = _word_like_openers(language)
    structure = rf"(\n)|((?!))|{shared}|((?!))|((?!))|"
    structure += rf"((?:{begins_string}[^\n{brackets}{special}])++|[\s\S])"
    # A string begins no word's middle: it is looked for once a word, not at each of its letters.
    run = rf"(?:[^\W{special}]++|[^\w{brackets}{special}])"
    only_brackets = rf"((?!))|((?!))|{shared}|((?!))|((?!))|((?:{begins_string}{run})++|[\s\S])"
    remainders = {form.opener: re.compile(_rest_of_string(form)) for form in language.strings}
    remainders |= {
        opener: re.compile(_rest_of_block_comment(closer))
        for opener, closer in language.block_comments
    }
    remainders |= {"/": re.compile(_REST_OF_REGEX)} if language.has_regex_literals else {}
    remainders |= {opener: re.compile(r"[^\n]*+") for opener in language.line_comments}
    return Lexicon(
        lexeme=re.compile(lexeme),
        structure=re.compile(structure),
        brackets=re.compile(only_brackets),
        remainders=remainders,
    )
