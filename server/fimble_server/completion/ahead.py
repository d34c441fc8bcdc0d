"""The request that would come next: after a suggestion is taken, or to go on where time ran out.

Owns the text as it would then be, and two halves of a middle made one. Pure.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from fimble_model.engine.protocol import Finish, StopRule
from fimble_server.completion.answer import Answer, Suggestion
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Trigger
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import TextEdit, apply_changes
from fimble_server.document.history import VerdictKind, note_edits, note_verdict
from fimble_server.document.positions import CharOffset

__all__ = [
    "StopAfterHead",
    "join_halves",
    "page_after_head",
    "snapshot_after_taking",
    "try_lengthen",
]


def snapshot_after_taking(snapshot: Snapshot, taken: Suggestion, now_ms: float) -> Snapshot:
    """The snapshot that an editor's next request would make if the suggestion were taken now."""
    edit = TextEdit(start=taken.start, end=taken.end, text=taken.text)
    edited = apply_changes(snapshot.buffer, [edit], snapshot.buffer.version + 1)
    end = CharOffset(taken.start + len(taken.text))
    history = note_edits(snapshot.history, edited.edits, now_ms)
    return dataclasses.replace(
        snapshot,
        buffer=edited.buffer,
        cursor=end,
        history=note_verdict(history, VerdictKind.ACCEPTED, end, now_ms),
        trigger=Trigger.AUTOMATIC,
        selected_text=None,
        selected_start=None,
        n_candidates=1,
    )


def page_after_head(page: Page, head: str) -> Page:
    """The page with the beginning of its middle written, the cursor behind it."""
    text = page.text[: page.cursor] + head + page.text[page.cursor :]
    return dataclasses.replace(page, text=text, cursor=page.cursor + len(head))


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAfterHead:
    """Implements `StopRule` for the second half of a middle whose first half is `head`."""

    head: str
    stop: StopRule

    def n_chars_to_keep(self, middle: str) -> int | None:
        """Where the rule of the whole ends it; it may not end it in the first half any more."""
        n_kept = self.stop.n_chars_to_keep(self.head + middle)
        return None if n_kept is None else max(0, n_kept - len(self.head))


def join_halves(first: Finish, second: Finish) -> Finish:
    """The finish of a row that was never interrupted; costs are the second half's."""
    n_chars = len(first.text)
    moved = (
        dataclasses.replace(token, char_end=n_chars + token.char_end) for token in second.tokens
    )
    return dataclasses.replace(
        second, text=first.text + second.text, tokens=(*first.tokens, *moved)
    )


def try_lengthen(before: Answer, full: Answer) -> Answer | None:
    """The answer before with its suggestion made longer, under its old id; None where none is."""
    if not before.suggestions or not full.suggestions:
        return None
    short, long = before.suggestions[0], full.suggestions[0]
    is_longer = long.text.startswith(short.text) and len(long.text) > len(short.text)
    if not is_longer or (short.start, short.end) != (long.start, long.end):
        return None
    longer = dataclasses.replace(long, suggestion_id=short.suggestion_id)
    return dataclasses.replace(before, suggestions=(longer,))
