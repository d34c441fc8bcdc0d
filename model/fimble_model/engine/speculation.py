"""Tokens guessed without a model, for the network to check many in one pass.

Owns the sources of guesses and how far they are trusted. Torch-free: knows token ids, never
rows, probabilities of the network or slots. What is guessed decides how fast a row is and never
what it writes: whoever verifies keeps a drafted token only where it is the one that would have
been drawn there anyway.

Three sources, each asked at every place, the one that has been right most often winning:
    the prompt    a suffix automaton: what followed where the longest end of the text stood before
    the project   the row's memory: what followed in the open files, and how unanimously
    the model     its own last words: what it wrote after the same few tokens
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from fimble_model.engine.acceptance import Acceptance
from fimble_model.engine.memory_index import Matches
from fimble_model.engine.protocol import TokenId
from fimble_model.engine.suffix_automaton import SuffixAutomaton, Trail

__all__ = ["MOST_DRAFT_TOKENS", "DrafterPort", "Guess", "Speculation", "SpeculationPort"]

# A longer stretch is seldom right as a whole, and a pass should not grow beyond a small chunk.
MOST_DRAFT_TOKENS = 16
# Guessed: as many buffers as are typed in at a time, and as much as a model says in an hour.
_MOST_PROMPTS = 16
_MOST_HABITS = 1 << 15
_HABIT_ORDERS = (4, 3, 2)
_LONGEST_TRAIL_TOLD_APART = 8
# What is believed of a source before it was right or wrong even once. Guessed.
_PRIORS = {"text": 0.4, "memory": 0.5, "habit": 0.4}

FindMatches = Callable[[Sequence[TokenId]], Matches | None]


class Guess(NamedTuple):
    """A token, what kind of guess it is, and how sure that kind has been."""

    token_id: TokenId
    kind: str
    probability: float


class DrafterPort(Protocol):
    """One row's guesses."""

    @property
    def n_guesses(self) -> int:
        """Guesses made for the last proposal, those that were not proposed included."""
        ...

    def read(self, token_id: TokenId) -> None:
        """A token is decided: the row's own, or one that spells text typed before."""
        ...

    def propose(self, n_most: int, least_probability: float) -> list[TokenId]:
        """At most `n_most` tokens that may follow, each worth its place in a pass."""
        ...

    def learn(self, decided_ids: Sequence[TokenId]) -> None:
        """Read the tokens that the last pass decided; the first `n` proposed may be among them."""
        ...


class SpeculationPort(Protocol):
    """Makes drafters."""

    def drafter(
        self,
        prompt_ids: Sequence[TokenId],
        *,
        client: str,
        owner: str,
        context_ids: Sequence[TokenId],
        find: FindMatches | None,
        n_most_new: int,
    ) -> DrafterPort:
        """A row's own drafter. `context_ids` are the last tokens before the cursor.

        No more than `n_most_new` tokens of the prompt are indexed for it.
        """
        ...


class Speculation:
    """What all rows' guesses have in common: the prompts' automata, habits, and their success.

    Keeps the invariant that it holds at most so many prompts and habits, the oldest out first.
    """

    def __init__(self, control_ids: Iterable[TokenId] = ()) -> None:
        """`control_ids` are never drafted: a row ends with them, so nothing is saved."""
        self.acceptance = Acceptance()
        self.control_ids = frozenset(control_ids)
        self._automata: OrderedDict[tuple[str, str], SuffixAutomaton] = OrderedDict()
        self._habits: OrderedDict[tuple[TokenId, ...], TokenId] = OrderedDict()

    def drafter(
        self,
        prompt_ids: Sequence[TokenId],
        *,
        client: str,
        owner: str,
        context_ids: Sequence[TokenId],
        find: FindMatches | None,
        n_most_new: int,
    ) -> DrafterPort:
        """A row's own drafter. `context_ids` are the last tokens before the cursor.

        While its owner types on, the prompt grows at the end, and only that is indexed anew.
        After a jump the index catches up over the next rows, at `n_most_new` tokens each; until
        then the prompt is no source.
        """
        key = (client, owner)
        automaton = self._automata.pop(key, None) if owner else None
        automaton = automaton or SuffixAutomaton()
        is_whole = automaton.become(_ending_at_cursor(prompt_ids, context_ids), n_most_new)
        if owner:
            self._automata[key] = automaton
            if len(self._automata) > _MOST_PROMPTS:
                self._automata.popitem(last=False)
        return _Drafter(self, automaton if is_whole else SuffixAutomaton(), context_ids, find)

    def habit_after(self, token_ids: Sequence[TokenId]) -> tuple[TokenId, int] | None:
        """What the model last wrote after the same few tokens, and after how many of them."""
        for order in _HABIT_ORDERS:
            token_id = self._habits.get(tuple(token_ids[-order:]))
            if token_id is not None and len(token_ids) >= order:
                return token_id, order
        return None

    def note_habit(self, before: Sequence[TokenId], token_id: TokenId) -> None:
        """The model wrote `token_id` after these tokens."""
        for order in _HABIT_ORDERS:
            if len(before) >= order:
                self._habits[tuple(before[-order:])] = token_id
        while len(self._habits) > _MOST_HABITS:
            self._habits.popitem(last=False)


class _Drafter:
    """Keeps the invariant that the trail follows what the row has read."""

    def __init__(
        self,
        speculation: Speculation,
        automaton: SuffixAutomaton,
        context_ids: Sequence[TokenId],
        find: FindMatches | None,
    ) -> None:
        self._speculation = speculation
        self._automaton = automaton
        self._version = automaton.version
        self._trail = automaton.trail_of_end()
        self._read_ids = list(context_ids)
        self._find = find
        self._guesses: list[Guess] = []

    @property
    def n_guesses(self) -> int:
        """Guesses made for the last proposal."""
        return len(self._guesses)

    def read(self, token_id: TokenId) -> None:
        """A token is decided."""
        if self._automaton.version == self._version:
            self._trail = self._automaton.follow(self._trail, token_id)
        self._read_ids.append(token_id)

    def propose(self, n_most: int, least_probability: float) -> list[TokenId]:
        """Tokens that may follow; with each, all up to it are right at least that likely."""
        guesses: list[Guess] = []
        read_ids, trail, joint = self._read_ids[-8:], self._trail, 1.0
        n_drafts = 0
        while len(guesses) <= n_most:
            guess = self._guess(read_ids, trail)
            if guess is None:
                break
            guesses.append(guess)
            joint *= guess.probability
            is_text = guess.token_id not in self._speculation.control_ids
            if joint < least_probability or n_drafts == n_most or not is_text:
                break
            n_drafts += 1
            read_ids.append(guess.token_id)
            trail = self._automaton.follow(trail, guess.token_id)
        self._guesses = guesses
        return [guess.token_id for guess in guesses[:n_drafts]]

    def learn(self, decided_ids: Sequence[TokenId]) -> None:
        """Take in the tokens that the last pass decided, and what that says of the guesses."""
        acceptance = self._speculation.acceptance
        for guess, token_id in zip(self._guesses, decided_ids, strict=False):
            is_right = guess.token_id == token_id
            acceptance.note(guess.kind, is_right=is_right)
            if not is_right:
                break
        self._guesses = []
        for token_id in decided_ids:
            self._speculation.note_habit(self._read_ids, token_id)
            self.read(token_id)

    def _guess(self, read_ids: Sequence[TokenId], trail: Trail) -> Guess | None:
        """The most trusted source's token after these."""
        found: list[tuple[TokenId, str, str]] = []
        if self._automaton.version == self._version and trail.n_tokens:
            token_id = self._automaton.try_next(trail)
            if token_id is not None:
                n_tokens = min(trail.n_tokens, _LONGEST_TRAIL_TOLD_APART)
                found.append((token_id, "text", f"text {n_tokens}"))
        matches = self._find(read_ids) if self._find else None
        if matches is not None:
            found.append(_unanimous(matches))
        habit = self._speculation.habit_after(read_ids)
        if habit is not None:
            found.append((habit[0], "habit", f"habit {habit[1]}"))
        if not found:
            return None
        votes = Counter(token_id for token_id, _, _ in found)
        probability = self._speculation.acceptance.probability
        guesses = (
            Guess(token_id, kind, probability(kind, _PRIORS[source]))
            for token_id, source, kind in (
                (token_id, source, f"{kind} votes {votes[token_id]}")
                for token_id, source, kind in found
            )
        )
        return max(guesses, key=lambda guess: guess.probability)


def _ending_at_cursor(
    prompt_ids: Sequence[TokenId], context_ids: Sequence[TokenId]
) -> list[TokenId]:
    """The prompt, turned round where the cursor's text is not its end but the suffix is.

    So the automaton's end is always the cursor, and a prompt that grows there grows at its end.
    """
    ids, wanted = list(prompt_ids), list(context_ids)
    for cut in range(len(ids), len(wanted) - 1, -1):
        if ids[cut - len(wanted) : cut] == wanted:
            return ids[cut:] + ids[:cut]
    return ids


def _unanimous(matches: Matches) -> tuple[TokenId, str, str]:
    """What followed the longest match, the newest time; and whether it always was that."""
    n_equal = int(matches.n_equal.max())
    followers = matches.next_ids[matches.n_equal == n_equal]
    token_id = TokenId(int(followers[-1]))
    is_unanimous = bool((followers == token_id).all())
    n_seen = min(len(followers), 3) if is_unanimous else 0
    return token_id, "memory", f"memory {n_equal} seen {n_seen}"
