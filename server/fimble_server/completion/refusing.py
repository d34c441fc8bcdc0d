"""What the user refused at a spot: it is not offered there again until the text there changes.

Owns what a spot is and how a refusal is told from silence: no client says it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fimble_server.completion.page import Page
from fimble_server.completion.stream import agrees, find_typed

__all__ = ["Refusal", "is_refused", "note_refusal"]

_MAX_REFUSALS = 32  # guessed: nobody comes back to older ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Text that was shown at a spot and typed over. The spot is the text around its cursor.

    `left` is the cursor's line before it and the line above, `right` the line's rest.
    """

    left: str = field(repr=False)
    right: str = field(repr=False)
    text: str = field(repr=False)


def note_refusal(
    refusals: tuple[Refusal, ...], then: Page, shown: str, now: Page
) -> tuple[Refusal, ...]:
    """The refusals after the user went on from `then`, where `shown` stood, to `now`.

    Typing something else at the cursor refuses. Typing along, going elsewhere or asking again
    does not.
    """
    typed = find_typed(then, now)
    if not typed or agrees(shown, typed):
        return refusals
    refusal = _at(then, shown)
    others = tuple(each for each in refusals if each != refusal)
    return (*others, refusal)[-_MAX_REFUSALS:]


def is_refused(refusals: Iterable[Refusal], page: Page, text: str) -> bool:
    """True where this text, or what it begins with, was refused at this very spot."""
    here = _at(page, text)
    return any(
        (each.left, each.right) == (here.left, here.right) and text.startswith(each.text)
        for each in refusals
    )


def _at(page: Page, text: str) -> Refusal:
    return Refusal(
        left=f"{page.line_above() or ''}\n{page.line_left}", right=page.line_right, text=text
    )
