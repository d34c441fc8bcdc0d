"""What a person sees: one suggestion at a time, how it came, went on and ended.

Owns the account of a replay's suggestions. Pure bookkeeping over texts; knows no time, buffer or
completer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble_server.completion.answer import Suggestion

__all__ = ["Screen", "Showing"]


@dataclass(slots=True, kw_only=True)
class Showing:
    """One suggestion from its first sight to its end, and what became of its characters.

    `text` is all that was ever shown of it: typing and taking go along it, extensions lengthen
    it. `[0, n_taken + n_typed)` of it is in the buffer, the rest is still ghost text.
    """

    suggestion: Suggestion = field(repr=False)
    mode: str
    rule: str
    source: str
    text: str = field(repr=False)
    n_taken: int = 0
    n_presses: int = 0
    n_typed: int = 0
    n_extensions: int = 0

    @property
    def rest(self) -> str:
        """What is still ghost text."""
        return self.text[self.n_taken + self.n_typed :]

    @property
    def is_kept(self) -> bool:
        """True where some of it was taken."""
        return self.n_taken > 0

    @property
    def n_vain_chars(self) -> int:
        """Characters that were shown and never came to be."""
        return len(self.rest)


class Screen:
    """Keeps the invariant that `now` is what an editor would draw at the cursor.

    As editors do, it goes on drawing a suggestion that the typing agrees with until the next
    answer is there. `n_swaps` counts answers that then put another in its place, and
    `n_vanished` those that took it away: a person sees both as flicker.
    """

    def __init__(self) -> None:
        self.ended: list[Showing] = []
        self.now: Showing | None = None
        self.n_swaps = 0
        self.n_vanished = 0

    def type(self, inserted: str) -> None:
        """A key was pressed."""
        if self.now is None:
            return
        if self.now.rest.startswith(inserted):
            self.now.n_typed += len(inserted)
            self._end_if_used_up()
        else:
            self._end()

    def take(self, n_chars: int, n_presses: int) -> None:
        """The beginning of what is drawn was taken."""
        assert self.now is not None, "nothing is shown"
        self.now.n_taken += n_chars
        self.now.n_presses += n_presses
        self._end_if_used_up()

    def answer(self, suggestion: Suggestion | None, *, mode: str, rule: str, source: str) -> bool:
        """An answer for the text as it is now is there. True where something new is to be seen."""
        text = "" if suggestion is None else suggestion.text
        if self.now is not None:
            rest = self.now.rest
            if text.startswith(rest):
                is_longer = len(text) > len(rest)
                self.now.text += text[len(rest) :]
                self.now.n_extensions += is_longer
                return is_longer
            self.n_swaps += bool(text)
            self.n_vanished += not text
            self._end()
        if suggestion is None or not text:
            return False
        self.now = Showing(suggestion=suggestion, mode=mode, rule=rule, source=source, text=text)
        return True

    def clear(self) -> None:
        """The person goes elsewhere."""
        if self.now is not None:
            self._end()

    def _end_if_used_up(self) -> None:
        if self.now is not None and not self.now.rest:
            self._end()

    def _end(self) -> None:
        assert self.now is not None, "nothing is shown"
        self.ended.append(self.now)
        self.now = None
