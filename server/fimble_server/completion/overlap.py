"""What stands right of the cursor, and what a middle may do about it: stop short, or write over.

Owns one law: a middle, put in place of what it overwrites, never repeats the text to its right.
Pure; knows nothing of plans, models or lines further below.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLOSERS", "Fitted", "fit_to_right", "is_only_closers"]

CLOSERS = frozenset(")]}>\"'`")
_PUNCTUATION = frozenset(":;")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_QUOTES = "\"'`"
_MAX_OVERLAP_CHARS = 200


class Fitted(NamedTuple):
    """A middle, and how many characters right of the cursor it replaces."""

    text: str
    n_overwritten_chars: int


def is_only_closers(right: str) -> bool:
    """True where nothing but brackets, quotes and signs that end things stands there.

    >>> is_only_closers("'):"), is_only_closers(") {")
    (True, False)
    """
    return all(sign in CLOSERS or sign in ":;," or sign.isspace() for sign in right)


def fit_to_right(text: str, right: str) -> Fitted:
    """Fit a middle to the rest of the cursor's line.

    What the middle's end repeats is left out. Closers that it wrote further up are overwritten;
    they stand in the middle in the same order, so an editor can show what is new between them.
    Where other text follows, the middle stays on the cursor's line.

    >>> fit_to_right("a, b)", ")")
    Fitted(text='a, b', n_overwritten_chars=0)
    >>> fit_to_right("a, b):\\n    pass", "):")
    Fitted(text='a, b):\\n    pass', n_overwritten_chars=2)
    """
    if not right.strip():
        return Fitted(text, _n_blanks_covered(text, right))
    fitted = _fit(text, right)
    ahead = right[fitted.n_overwritten_chars :].strip()
    if "\n" in fitted.text and ahead and not is_only_closers(ahead):
        fitted = _fit(text.partition("\n")[0], right)
    return fitted


def _fit(text: str, right: str) -> Fitted:
    """Leave out and overwrite until nothing is repeated; each round makes the text shorter."""
    while True:
        text = _without_overlap(text, right)
        n_covered = _n_covered(text, right)
        shorter = _without_overlap(text, right[n_covered:])
        if shorter == text:
            return Fitted(text, n_covered)
        text = shorter


def _n_blanks_covered(text: str, right: str) -> int:
    """All of the blank rest of a line, where the middle begins with it; else nothing."""
    return len(right) if text.startswith(right) else 0


def _without_overlap(text: str, right: str) -> str:
    """The text without what its end and the beginning of `right` have in common."""
    ahead = right.strip()
    while ahead and (n_chars := _n_overlap(text.rstrip(), ahead)):
        text = text.rstrip()[:-n_chars]
        text = text.rstrip(" ") if right.startswith(" ") else text
    is_before_closer = ahead[:1] in _PAIRS and is_only_closers(ahead)
    is_in_round = ahead[:1] == ")" and text.count(")") <= text.count("(")
    if is_before_closer and text.rstrip().endswith((";", ":") if is_in_round else ";"):
        return text.rstrip()[:-1]
    return text


def _n_overlap(text: str, ahead: str) -> int:
    """The longest common stretch that holds no closer of what the text opened left of it."""
    partners = _partners(text)
    for n_chars in range(min(len(text), len(ahead), _MAX_OVERLAP_CHARS), 0, -1):
        start = len(text) - n_chars
        is_same = text.endswith(ahead[:n_chars]) and not _cuts_word(text, start)
        if is_same and not any(opener < start <= end for opener, end in partners):
            return n_chars
    return 0


def _cuts_word(text: str, start: int) -> bool:
    """True where a word would lose its end: `shape` and `else` have no `e` in common."""

    def is_name(sign: str) -> bool:
        return sign.isalnum() or sign == "_"

    return start > 0 and is_name(text[start - 1]) and is_name(text[start])


def _own_signs(text: str) -> set[int]:
    """Where brackets and quotes stand that the text both opens and closes."""
    return {index for pair in _partners(text) for index in pair}


def _partners(text: str) -> list[tuple[int, int]]:
    """Where brackets and quotes open, each with where the same text closes it."""
    partners: list[tuple[int, int]] = []
    opened: list[int] = []
    for index, sign in enumerate(text):
        if sign in _PAIRS.values():
            opened.append(index)
        elif sign in _PAIRS and opened and text[opened[-1]] == _PAIRS[sign]:
            partners.append((opened.pop(), index))
    for quote in _QUOTES:
        places = [index for index, sign in enumerate(text) if sign == quote]
        partners += zip(places[::2], places[1::2], strict=False)
    return partners


def _n_covered(text: str, right: str) -> int:
    """How much of `right` the text has written itself and must therefore overwrite.

    Only closers count that the text did not open, in the same order, and a sign such as `:`
    that follows them on the same line outside of brackets: it has the same part in both.
    """
    own = _own_signs(text)
    place, line_end, n_covered = -1, 0, 0
    for index, sign in enumerate(right):
        if sign.isspace():
            continue
        if sign in CLOSERS:
            found = _find_free(text, sign, place + 1, len(text), own)
        elif sign in _PUNCTUATION and place >= 0:
            found = _find_outside(text, sign, place + 1, line_end)
        else:
            break
        if found is None or not _has_blanks(text, place + 1, found, right[n_covered:index]):
            break
        place, n_covered = found, index + 1
        line_end = text.find("\n", place)
        line_end = len(text) if line_end < 0 else line_end
    return n_covered


def _find_free(text: str, sign: str, start: int, end: int, own: set[int]) -> int | None:
    found = text.find(sign, start, end)
    while found >= 0 and found in own:
        found = text.find(sign, found + 1, end)
    return None if found < 0 else found


def _find_outside(text: str, sign: str, start: int, end: int) -> int | None:
    """The first such sign in `[start, end)` that stands in no bracket opened there."""
    depth = 0
    for index in range(start, end):
        depth += (text[index] in _PAIRS.values()) - (text[index] in _PAIRS)
        if text[index] == sign and depth <= 0:
            return index
    return None


def _has_blanks(text: str, start: int, end: int, blanks: str) -> bool:
    """True where `[start, end)` of the text holds the blanks that would be overwritten too."""
    return all(text[start:end].count(blank) >= blanks.count(blank) for blank in set(blanks))
