"""Where the end of a text has stood before in it: a suffix automaton over token ids.

Owns the automaton and its roll-back. Pure Python and online: a token costs a few steps on
average. Knows neither rows nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fimble_model.engine.prefix import n_common_tokens
from fimble_model.engine.protocol import TokenId

__all__ = ["SuffixAutomaton", "Trail"]

_ROOT = 0


class Trail(NamedTuple):
    """The longest end of what was read that stands in the text: its state and its length."""

    state: int
    n_tokens: int


class _Change(NamedTuple):
    """What one token did, to be taken back: the last state before it, and what it wrote over.

    Of `edges`, each is (state, token, the state it led to before; None for nowhere).
    """

    last: int
    n_states: int
    edges: list[tuple[int, TokenId, int | None]]
    links: list[tuple[int, int]]


class SuffixAutomaton:
    """The smallest automaton that knows every substring of a text (Blumer et al. 1985).

    Keeps the invariant that each state stands for substrings with the same ends: `_lengths` is
    the longest one's, `_ends` where it first ends (exclusive), `_links` the state of the longest
    one that has further ends. `version` changes when tokens are taken back: trails from before
    are of no use then.
    """

    def __init__(self) -> None:
        self.version = 0
        self._clear()

    def _clear(self) -> None:
        """Hold nothing: to start anew is quicker than to take most of a text back."""
        self.version += 1
        self.token_ids: list[TokenId] = []
        self._edges: list[dict[TokenId, int]] = [{}]
        self._links: list[int] = [_ROOT]
        self._lengths: list[int] = [0]
        self._ends: list[int] = [0]
        self._last = _ROOT
        self._changes: list[_Change] = []

    def become(self, token_ids: Sequence[TokenId], n_most_new: int | None = None) -> bool:
        """Hold exactly these tokens, at the cost of those that differ at the end.

        With `n_most_new` no more are added in one call; False where some are still missing.
        """
        wanted = list(token_ids)
        n_common = n_common_tokens(self.token_ids, wanted)
        if 2 * n_common < len(self.token_ids):
            self._clear()
        self.truncate(n_common)
        n_held = len(self.token_ids)
        end = len(wanted) if n_most_new is None else n_held + n_most_new
        for token_id in wanted[n_held:end]:
            self.append(token_id)
        return len(self.token_ids) == len(wanted)

    def append(self, token_id: TokenId) -> None:
        """Add a token at the end."""
        edges, links, lengths = self._edges, self._links, self._lengths
        change = _Change(self._last, len(edges), [], [])
        state = self._add_state({}, len(self.token_ids) + 1, len(self.token_ids) + 1)
        before: int | None = self._last
        while before is not None and token_id not in edges[before]:
            edges[before][token_id] = state
            change.edges.append((before, token_id, None))
            before = links[before] if before != _ROOT else None
        if before is not None:
            target = edges[before][token_id]
            if lengths[target] != lengths[before] + 1:
                target = self._split(before, token_id, target, change)
            links[state] = target
        self._last = state
        self.token_ids.append(token_id)
        self._changes.append(change)

    def truncate(self, n_tokens: int) -> None:
        """Take back all tokens from `n_tokens` on."""
        if n_tokens < len(self.token_ids):
            self.version += 1
        while len(self.token_ids) > n_tokens:
            change = self._changes.pop()
            for state, token_id, target in reversed(change.edges):
                if target is None:
                    del self._edges[state][token_id]
                else:
                    self._edges[state][token_id] = target
            for state, link in reversed(change.links):
                self._links[state] = link
            for column in (self._edges, self._links, self._lengths, self._ends):
                del column[change.n_states :]
            self._last = change.last
            self.token_ids.pop()

    def trail_of_end(self) -> Trail:
        """The longest end of the text that stands in it at an earlier place, too."""
        state = self._links[self._last]
        return Trail(state, self._lengths[state])

    def follow(self, trail: Trail, token_id: TokenId) -> Trail:
        """The trail after one more token was read; the text itself stays as it is."""
        state, n_tokens = trail
        while token_id not in self._edges[state]:
            if state == _ROOT:
                return Trail(_ROOT, 0)
            state = self._links[state]
            n_tokens = self._lengths[state]
        return Trail(self._edges[state][token_id], n_tokens + 1)

    def try_next(self, trail: Trail) -> TokenId | None:
        """The token that followed where the trail's tokens first stood; None at the text's end."""
        end = self._ends[trail.state]
        return self.token_ids[end] if 0 < end < len(self.token_ids) else None

    def _add_state(self, edges: dict[TokenId, int], length: int, end: int) -> int:
        self._edges.append(edges)
        self._links.append(_ROOT)
        self._lengths.append(length)
        self._ends.append(end)
        return len(self._edges) - 1

    def _split(self, before: int, token_id: TokenId, target: int, change: _Change) -> int:
        """A copy of `target` for its shorter substrings, which from now on have one end more."""
        copy = self._add_state(
            dict(self._edges[target]), self._lengths[before] + 1, self._ends[target]
        )
        self._links[copy] = self._links[target]
        change.links.append((target, self._links[target]))
        self._links[target] = copy
        state: int | None = before
        while state is not None and self._edges[state].get(token_id) == target:
            self._edges[state][token_id] = copy
            change.edges.append((state, token_id, target))
            state = self._links[state] if state != _ROOT else None
        return copy
