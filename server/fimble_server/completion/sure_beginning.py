"""The beginning of an unsure middle that is sure by itself: less text, but likely right.

Owns where such a beginning may end. Pure; whether the whole is too unsure is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from fimble_model.engine.giving_up import bounded_logprob
from fimble_model.engine.protocol import GeneratedToken
from fimble_server.completion.plan import Mode

__all__ = ["beginnings_of", "sure_beginning"]

_MIN_CHARS = 2
_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'`"
_ENDS = ")]}:;" + _QUOTES


def sure_beginning(
    text: str, tokens: Sequence[GeneratedToken], *, min_probability: float, mode: Mode
) -> str:
    """The longest beginning of `text` that is right as a whole with `min_probability`.

    That is a product over its tokens, not a mean: a beginning is worth showing only where all
    of it is likely. It ends at a word's end, in exploration at a line's, and leaves nothing
    open. Empty where there is none.
    """
    n_sure_chars = _n_sure_chars(tokens, min_probability)
    heads = (head for head in beginnings_of(text, mode) if len(head) <= n_sure_chars)
    return next(heads, "")


def beginnings_of(text: str, mode: Mode) -> Iterator[str]:
    """All that may be shown of a text but the whole of it, the longest first."""
    last = None
    for n_chars in _ends(text, mode):
        head = text[:n_chars].rstrip()
        if head != last and _is_worth_showing(head):
            yield head
        last = head


def _n_sure_chars(tokens: Sequence[GeneratedToken], min_probability: float) -> int:
    """Characters known after the tokens whose product of probabilities is high enough."""
    sum_logprobs, n_chars = 0.0, 0
    for token in tokens:
        sum_logprobs += bounded_logprob(token.logprob)
        if math.exp(sum_logprobs) < min_probability:
            break
        n_chars = token.char_end
    return n_chars


def _ends(text: str, mode: Mode) -> Iterator[int]:
    """Where a beginning may end, the longest first; the whole text is none."""
    for n_chars in range(len(text) - 1, 0, -1):
        before, after = text[n_chars - 1], text[n_chars]
        is_of_whole_lines = mode is Mode.EXPLORATION or "\n" in text[:n_chars]
        is_at_end = (
            after == "\n" if is_of_whole_lines else not _is_word(before) or not _is_word(after)
        )
        if is_at_end:
            yield n_chars


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _is_worth_showing(head: str) -> bool:
    """Enough to look at, nothing left open, and no operator that waits for its right side."""
    if len(head.strip()) < _MIN_CHARS:
        return False
    is_end = _is_word(head[-1]) or head[-1] in _ENDS or _ends_with_type(head)
    return is_end and _is_closed(head)


def _ends_with_type(head: str) -> bool:
    """`Box<Data>`, not `a >` or `->`."""
    return head[-1] == ">" and "<" in head and (_is_word(head[-2:-1]) or head[-2] in ">]")


def _is_closed(text: str) -> bool:
    """No bracket or quote of its own is left open."""
    awaited: list[str] = []
    for before, sign in pairwise(f" {text}"):
        if sign in _CLOSER_OF:
            awaited.append(_CLOSER_OF[sign])
        elif sign == "<" and _is_word(before):  # a type's arguments; who compares leaves a blank
            awaited.append(">")
        elif awaited and sign == awaited[-1]:
            awaited.pop()
    return not awaited and all(text.count(quote) % 2 == 0 for quote in _QUOTES)
