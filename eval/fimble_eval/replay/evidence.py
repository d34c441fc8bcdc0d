"""What may speak for or against a beginning of a middle, besides how likely its tokens are.

Owns the facts and their numbers. Pure. The server gathers none of this: the fit that is made
here says whether it would be worth it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from fimble_model.engine.giving_up import bounded_logprob
from fimble_model.engine.protocol import GeneratedToken
from fimble_server.completion.page import Page
from fimble_server.document.languages import Language, language_for_id
from fimble_server.document.syntax import parse

__all__ = ["EVIDENCE_NAMES", "Evidence", "Surroundings", "gather_evidence", "look_around"]

_WORD = re.compile(r"[^\W\d]\w{2,}")
_CHARS_AROUND = 4_000
_LEAST_COPIED_CHARS = 6
_LEAST_PARSED = math.log(0.05)  # less likely heads are shown by no rule
_PROSE_RULES = frozenset({"in-comment", "in-docstring", "in-string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Numbers about one beginning, each of which may speak for it or against it.

    Logarithms are natural. `known_words` is the share of its words that stand near the cursor,
    `copies_line` is 1 where its first line, with what stands left of it, stands there already;
    both stand for what a memory of the text would say. `adds_errors` is by how many errors the
    syntax tree has more with it. `next_logprob` is of the token after it, 0 where the middle ends
    with it.
    """

    sum_logprob: float
    least_logprob: float
    mean_logprob: float
    next_logprob: float
    log_chars: float
    n_later_lines: float
    is_whole: float
    is_exploration: float
    is_prose: float
    is_line_start: float
    is_in_word: float
    is_after_sign: float
    begins_line: float
    known_words: float
    copies_line: float
    adds_errors: float


EVIDENCE_NAMES = tuple(each.name for each in fields(Evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is the same for every beginning at one cursor."""

    near: str
    near_words: frozenset[str]
    line_left: str
    page: Page
    language: Language
    n_errors: int
    is_exploration: bool
    is_prose: bool


def look_around(page: Page, language_id: str, *, is_exploration: bool, rule: str) -> Surroundings:
    """Read the text around the cursor once."""
    language = language_for_id(language_id)
    near = page.text[max(0, page.cursor - _CHARS_AROUND) : page.cursor]
    return Surroundings(
        near=near,
        near_words=frozenset(_WORD.findall(near)),
        line_left=page.line_left,
        page=page,
        language=language,
        n_errors=_n_errors(language, page.text),
        is_exploration=is_exploration,
        is_prose=rule in _PROSE_RULES,
    )


def gather_evidence(
    head: str, tokens: Sequence[GeneratedToken], around: Surroundings, *, is_whole: bool
) -> Evidence:
    """The evidence for the first `len(head)` characters of what the tokens spell."""
    logprobs, next_logprob = _logprobs_of(tokens, len(head))
    words = _WORD.findall(head)
    n_known = sum(word in around.near_words for word in words)
    left = around.line_left
    last_sign = left[-1:]
    first_line = (left + head).lstrip().partition("\n")[0].strip()
    is_copy = len(first_line) >= _LEAST_COPIED_CHARS and f"\n{first_line}" in _stripped(around.near)
    return Evidence(
        sum_logprob=sum(logprobs),
        least_logprob=min(logprobs, default=0.0),
        mean_logprob=sum(logprobs) / max(1, len(logprobs)),
        next_logprob=0.0 if is_whole else next_logprob,
        log_chars=math.log(max(1, len(head))),
        n_later_lines=float(min(6, head.strip("\n").count("\n"))),
        is_whole=float(is_whole),
        is_exploration=float(around.is_exploration),
        is_prose=float(around.is_prose),
        is_line_start=float(not left.strip()),
        is_in_word=float(last_sign.isalnum() or last_sign == "_"),
        is_after_sign=float(bool(last_sign.strip()) and not last_sign.isalnum()),
        begins_line=float(head.startswith("\n")),
        known_words=n_known / len(words) if words else 0.5,
        copies_line=float(is_copy),
        adds_errors=_added_errors(head, around) if sum(logprobs) >= _LEAST_PARSED else 0.0,
    )


def _logprobs_of(tokens: Sequence[GeneratedToken], n_chars: int) -> tuple[list[float], float]:
    """The tokens that the first characters need, and the one after them."""
    found: list[float] = []
    n_known = 0
    for token in tokens:
        if n_known >= n_chars:
            return found, bounded_logprob(token.logprob)
        found.append(bounded_logprob(token.logprob))
        n_known = token.char_end
    return found, 0.0


def _added_errors(head: str, around: Surroundings) -> float:
    text, cursor = around.page.text, around.page.cursor
    n_errors = _n_errors(around.language, text[:cursor] + head + text[cursor:])
    return float(max(-2, min(2, n_errors - around.n_errors)))


def _n_errors(language: Language, text: str) -> int:
    """Errors and missing parts of the syntax tree; 0 where there is no grammar."""
    tree = parse(language, text).tree
    waiting = [tree.root_node] if tree is not None else []
    n_errors = 0
    while waiting:
        node = waiting.pop()
        n_errors += node.is_error or node.is_missing
        waiting += [child for child in node.children if child.has_error]
    return n_errors


def _stripped(text: str) -> str:
    """The lines without their indentation."""
    return re.sub(r"\n[ \t]+", "\n", text)
