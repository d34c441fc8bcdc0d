"""The person at the keys: how fast they type, how long they look, and what they take.

Owns every assumption about people in a replay, each of which is a guess that is written down
here. Pure and seeded: the same person does the same at the same place, whatever is shown.
"""

from __future__ import annotations

import enum
import random
import re
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Person", "Policy", "Taken", "take"]

# A key that takes one character saves none.
_LEAST_TAKEN_CHARS = 2
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")
_MEDIAN_GAP_MS, _WORD_START_FACTOR, _LINE_START_FACTOR = 130.0, 1.6, 3.0
_GAP_SPREAD = 0.35
_THINK_SHARE, _THINK_MS = 0.15, 2_000.0
_LOOK_MS, _LOOK_MS_PER_CHAR, _MOST_LOOK_MS = 250.0, 12.0, 800.0


class Policy(enum.Enum):
    """How much of a suggestion a person checks before taking any of it.

    LINE: its next line, all of it. WORD: its next word. More is taken while it is right.
    """

    LINE = "line"
    WORD = "word"


class Taken(NamedTuple):
    """Characters taken from the start of a suggestion, with how many keys."""

    n_chars: int
    n_presses: int


def take(shown: str, truth: str, policy: Policy) -> Taken:
    r"""What a person who is about to write `truth` takes of `shown`.

    Whole units from its start that are what the file says, none where they save no key. A unit
    never ends inside a word of the file.

    >>> take("foo(a, b)", "foo(a, c)", Policy.WORD)
    Taken(n_chars=6, n_presses=4)
    >>> take("foo(a, b)", "foo(a, c)", Policy.LINE)
    Taken(n_chars=0, n_presses=0)
    >>> take("x = 1\nz = 2", "x = 1\ny = 2", Policy.LINE)
    Taken(n_chars=5, n_presses=1)
    """
    n_chars = n_units = 0
    for end in _unit_ends(shown, policy):
        is_right = shown[:end] == truth[:end] and not _cuts_word(truth, end)
        if not is_right:
            break
        n_chars, n_units = end, n_units + 1
    if len(shown[:n_chars].strip()) < _LEAST_TAKEN_CHARS:
        return Taken(0, 0)
    return Taken(n_chars, 1 if n_chars == len(shown) else n_units)


def _unit_ends(shown: str, policy: Policy) -> list[int]:
    """Where each word ends, or each line that has something on it."""
    if policy is Policy.WORD:
        ends = [found.end() for found in _WORD.finditer(shown)]
    else:
        ends = [found.end() for found in re.finditer(r"\s*[^\n]*\S[^\n]*", shown)]
    return ends if not ends or ends[-1] == len(shown) else [*ends[:-1], len(shown)]


def _cuts_word(truth: str, end: int) -> bool:
    return 0 < end < len(truth) and _is_word(truth[end - 1]) and _is_word(truth[end])


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One typing rhythm and one way to look. `seed` and a place's name give all randomness."""

    seed: int
    policy: Policy

    def gap_ms(self, text: str, offset: int, name: str) -> float:
        """How long after the key before the key for `text[offset]` is pressed.

        Log-normal about a median that is longer where a word or a line begins; at some line
        starts the person thinks first. Guessed after common keystroke studies.
        """
        rng = random.Random(f"{self.seed} {name} {offset}")
        before = text[offset - 1] if offset else "\n"
        is_line_start = before == "\n" or not text[text.rfind("\n", 0, offset) + 1 : offset].strip()
        median_ms = _MEDIAN_GAP_MS
        if is_line_start:
            median_ms *= _LINE_START_FACTOR
        elif not _is_word(before) and _is_word(text[offset]):
            median_ms *= _WORD_START_FACTOR
        gap_ms = median_ms * rng.lognormvariate(0.0, _GAP_SPREAD)
        is_thinking = is_line_start and rng.random() < _THINK_SHARE
        return gap_ms + (_THINK_MS if is_thinking else 0.0)

    def look_ms(self, shown: str) -> float:
        """How long it takes to see a suggestion and judge its first line."""
        first_line = shown.lstrip("\n").partition("\n")[0]
        return min(_MOST_LOOK_MS, _LOOK_MS + _LOOK_MS_PER_CHAR * len(first_line))
