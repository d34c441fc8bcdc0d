"""Suggestions that are still good: the user typed along, went back a little, or asked again.

Owns the test for that, and nothing else: pure functions of what was shown and what is there.
The model is not asked again for what it has answered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

from fimble_server.completion.answer import Answer, Suggestion, Timing, TokenCounts
from fimble_server.completion.overlap import CLOSERS, is_only_closers
from fimble_server.completion.page import Page, page_of, with_line_feeds
from fimble_server.completion.plan import Trigger
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer
from fimble_server.document.differences import n_common_end_chars
from fimble_server.document.positions import CharOffset

__all__ = ["Remembered", "refit", "remember", "try_reuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """An answer and the page it was made for."""

    page: Page = field(repr=False)
    trigger: Trigger
    n_candidates: int
    answer: Answer = field(repr=False)


def remember(answer: Answer, page: Page, snapshot: Snapshot) -> Remembered:
    """Keep an answer for `try_reuse`."""
    return Remembered(
        page=page,
        trigger=snapshot.trigger,
        n_candidates=snapshot.n_candidates,
        answer=answer,
    )


def try_reuse(remembered: Iterable[Remembered], page: Page, snapshot: Snapshot) -> Answer | None:
    """The first remembered answer that still fits, cut to what is not typed yet.

    An explicit request is answered only by what an explicit request gave, and never with fewer
    candidates than it wants.
    """
    for entry in remembered:
        is_invoked = snapshot.trigger is Trigger.INVOKED
        if is_invoked and entry.trigger is not Trigger.INVOKED:
            continue
        if snapshot.n_candidates > entry.n_candidates:
            continue
        answer = _fit(entry.answer, entry.page, page)
        if answer is not None:
            return dataclasses.replace(
                answer, source="reuse", tokens=TokenCounts(), timing=Timing()
            )
    return None


def refit(
    answer: Answer,
    snapshot_then: Snapshot,
    buffer_now: Buffer,
    cursor_now: CharOffset | None = None,
) -> Answer | None:
    """A late answer for the text as it is now; None where it no longer fits.

    It fits where the user has meanwhile typed a beginning of a suggestion, or nothing. Where
    the cursor is not known, it is taken to stand where the typing left it.
    """
    is_same_text = buffer_now.text == snapshot_then.buffer.text
    if is_same_text and cursor_now in (None, snapshot_then.cursor):
        return answer
    cursors = [cursor_now] if cursor_now is not None else _likely_cursors(snapshot_then, buffer_now)
    then = page_of(snapshot_then)
    for cursor in cursors:
        now = dataclasses.replace(
            snapshot_then,
            buffer=buffer_now,
            cursor=cursor,
            selected_text=None,
            selected_start=None,
        )
        fitted = _fit(answer, then, page_of(now))
        if fitted is not None:
            return fitted
    return None


def _likely_cursors(snapshot_then: Snapshot, buffer_now: Buffer) -> list[CharOffset]:
    """Where the cursor may be if all that changed was typed at it.

    Right behind what came in, or before the closers at its end: editors write those themselves.
    """
    text_then, text_now = snapshot_then.buffer.text, buffer_now.text
    cursor = min(max(0, snapshot_then.cursor), len(text_then))
    end = len(text_now) - n_common_end_chars(text_then[cursor:], text_now[cursor:])
    cursors = [CharOffset(end)]
    while cursors[-1] > cursor and text_now[cursors[-1] - 1] in CLOSERS:
        cursors.append(CharOffset(cursors[-1] - 1))
    return cursors


def _fit(answer: Answer, then: Page, now: Page) -> Answer | None:
    if then.text == now.text and then.cursor == now.cursor and then.selected == now.selected:
        return answer
    fitted = (_try_fit(each, then, now) for each in answer.suggestions)
    suggestions = tuple(each for each in fitted if each is not None)
    return dataclasses.replace(answer, suggestions=suggestions) if suggestions else None


def _try_fit(suggestion: Suggestion, then: Page, now: Page) -> Suggestion | None:
    """The rest of a suggestion. On the pages, then and now, it stands like this:

    then    head  |origin  selected and middle      | overwritten  tail
    now     head  |origin  typed |cursor| rest      | overwritten  tail
    """
    whole = with_line_feeds(suggestion.text)
    origin = then.cursor - len(then.selected)
    if now.cursor < origin or now.text[:origin] != then.text[:origin]:
        return None
    typed = now.text[origin : now.cursor]
    if not whole.startswith(typed) or len(typed) == len(whole):
        return None
    tail_start = then.cursor + suggestion.end - then.buffer_cursor
    n_overwritten = len(now.text) - (len(then.text) - tail_start) - now.cursor
    if n_overwritten < 0 or now.text[now.cursor + n_overwritten :] != then.text[tail_start:]:
        return None
    rest, overwritten = whole[len(typed) :], now.text[now.cursor :][:n_overwritten]
    if rest == overwritten:
        return None
    was_there = then.text[then.cursor : tail_start].endswith(overwritten)
    if not was_there and not (is_only_closers(overwritten) and _holds(rest, overwritten)):
        return None
    return dataclasses.replace(
        suggestion,
        text=(now.selected + rest).replace("\n", now.line_break),
        start=now.buffer_start,
        end=now.buffer_cursor + n_overwritten,
    )


def _holds(text: str, signs: str) -> bool:
    """True where all `signs` stand in the text in their order."""
    if "\n" in signs:
        return False
    place = -1
    return all((place := text.find(sign, place + 1)) >= 0 for sign in signs)
