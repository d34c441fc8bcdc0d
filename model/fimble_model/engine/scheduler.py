"""Which rows run, which take part in the next pass, and with how many tokens.

Owns the order of rows, the turns of clients and the split of a pass's token budget. Pure but
for that bookkeeping: sees names and numbers, never tensors, requests or time.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.fair_turns import FairTurns
from fimble_model.engine.protocol import RequestId

__all__ = [
    "MOST_PASSES_PASSED_OVER",
    "Candidate",
    "PassLimits",
    "RowDemand",
    "Scheduler",
    "Share",
    "choose_limits",
]

# A row that this many passes went by is served before newer ones. Guessed: about a second.
MOST_PASSES_PASSED_OVER = 32
# Tokens that one client's prompts get before the next has its turn: more than a typist needs at
# a key. Guessed; in a simulation of 16 typists 64 did as well.
_TURN_TOKENS = 16
# More than ever share an engine; whose last start is forgotten counts as the one longest ago.
_MOST_CLIENTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PassLimits:
    """`max_rows` run at once; one pass computes about `max_tokens` tokens."""

    max_rows: int = 16
    max_tokens: int = 256


def choose_limits(*, n_parameters: int, is_on_cpu: bool) -> PassLimits:
    """Limits for a network of some size: long passes are fast, short ones let go soon.

    A cancelled row computes until its pass ends, and rows beside a long prompt wait as long.
    On two cores a pass of these sizes takes some 50 ms; a GPU is done with its sooner.

    >>> choose_limits(n_parameters=60_000_000, is_on_cpu=True).max_tokens
    64
    """
    if not is_on_cpu:
        return PassLimits(max_rows=_GPU_ROWS, max_tokens=2048)
    n_tokens = _TOKEN_PARAMETERS_A_PASS // n_parameters // 32 * 32
    return PassLimits(max_tokens=min(max(n_tokens, 32), 256))


_TOKEN_PARAMETERS_A_PASS = 4_000_000_000
# The largest batch that graphs are captured for.
_GPU_ROWS = 256


class RowDemand(NamedTuple):
    """A running row: its known tokens that are not computed yet, and drafts it would have too.

    A decoding row has one such token. Only a decoding row drafts.
    """

    request_id: RequestId
    n_pending_tokens: int
    n_draft_tokens: int = 0


class Share(NamedTuple):
    """A row's part of the pass: its next `n_tokens`, pending ones first and then drafted ones."""

    request_id: RequestId
    n_tokens: int


class Candidate(NamedTuple):
    """A waiting row. Where an overdue one finds no room, none behind it may start."""

    request_id: RequestId
    is_overdue: bool


@dataclass(slots=True)
class _Entry:
    """A row's place. `n_passed_over` counts the passes in which it took no part."""

    request_id: RequestId
    client: str
    owner: str
    number: int
    n_passed_over: int = 0

    @property
    def is_overdue(self) -> bool:
        return self.n_passed_over >= MOST_PASSES_PASSED_OVER


class Scheduler:
    """Keeps the invariant that a row is either waiting or running from `add` to `remove`.

    Nothing starves: a row that was passed over for long comes first, the oldest before the
    others, and every client has its turn.
    """

    def __init__(self, limits: PassLimits) -> None:
        self.limits = limits
        self._numbers = itertools.count()
        self._waiting: dict[RequestId, _Entry] = {}
        self._running: dict[RequestId, _Entry] = {}
        self._last_starts: OrderedDict[str, int] = OrderedDict()
        self._turns = FairTurns(_TURN_TOKENS)

    @property
    def n_running(self) -> int:
        """Rows that were started and not removed."""
        return len(self._running)

    def add(self, request_id: RequestId, *, client: str, owner: str) -> None:
        """Have a row wait. `owner` "" is a row of its own."""
        assert request_id not in self._waiting, "a request id is in use"
        assert request_id not in self._running, "a request id is in use"
        number = next(self._numbers)
        self._waiting[request_id] = _Entry(request_id, client, owner or f"\0{number}", number)

    def start(self, request_id: RequestId) -> None:
        """A waiting row runs from now on."""
        entry = self._waiting.pop(request_id)
        self._running[request_id] = entry
        self._last_starts[entry.client] = next(self._numbers)
        self._last_starts.move_to_end(entry.client)
        if len(self._last_starts) > _MOST_CLIENTS:
            self._last_starts.popitem(last=False)

    def remove(self, request_id: RequestId) -> None:
        """A row has ended. Unknown ids are ignored."""
        self._waiting.pop(request_id, None)
        self._running.pop(request_id, None)

    def candidates(self) -> Iterator[Candidate]:
        """Waiting rows in the order in which they may start, while there are places.

        The client with the fewest rows running has the next place, of several the one whose
        last row started longest ago. It gives the place to its newest owner.
        """
        if not self._waiting:
            return
        n_running = Counter(entry.client for entry in self._running.values())
        by_client = _queues(self._waiting.values())
        while by_client:
            client = min(
                by_client, key=lambda each: (n_running[each], self._last_starts.get(each, -1))
            )
            n_running[client] += 1
            entry = by_client[client].pop(0)
            if not by_client[client]:
                del by_client[client]
            yield Candidate(entry.request_id, entry.is_overdue)

    def plan(
        self, demands: Sequence[RowDemand], n_beside_tokens: int | None = None
    ) -> tuple[Share, ...]:
        """Shares of the next pass for the running rows.

        Rows that need one token always get it, so that no stream stalls. What is left of the
        pass goes to longer ones: clients take turns, and each serves its newest owner first.
        Drafts have what nobody needs. At least one row advances in every pass. Where some rows
        decode, the others get at most `n_beside_tokens`, if that is given: every stream waits
        for the whole pass.
        """
        shares = {row.request_id: 1 for row in demands if row.n_pending_tokens == 1}
        n_left = max(self.limits.max_tokens - len(shares), 0 if shares else 1)
        long_rows = [row for row in demands if row.n_pending_tokens > 1]
        if long_rows and n_left:
            n_most = min(n_left, n_beside_tokens) if shares and n_beside_tokens else n_left
            n_left -= self._share_prompts(long_rows, n_most, shares)
        drafting = [
            row
            for row in demands
            if row.n_draft_tokens and shares.get(row.request_id) == row.n_pending_tokens
        ]
        for n_rows_left, row in zip(range(len(drafting), 0, -1), drafting, strict=True):
            n_drafts = min(row.n_draft_tokens, n_left // n_rows_left)
            shares[row.request_id] += n_drafts
            n_left -= n_drafts
        self._note_passed_over(shares)
        return tuple(Share(request_id, n_tokens) for request_id, n_tokens in shares.items())

    def _share_prompts(
        self, rows: Sequence[RowDemand], n_tokens: int, shares: dict[RequestId, int]
    ) -> int:
        """Put the prompts' shares into `shares`; how many tokens that took."""
        n_pending = {row.request_id: row.n_pending_tokens for row in rows}
        by_client = _queues([self._running[row.request_id] for row in rows])
        wanted = {
            client: sum(n_pending[entry.request_id] for entry in queue)
            for client, queue in by_client.items()
        }
        given = self._turns.share_out(wanted, n_tokens)
        for client, n_given in given.items():
            n_left = n_given
            for entry in by_client[client]:
                n_taken = min(n_pending[entry.request_id], n_left)
                if n_taken:
                    shares[entry.request_id] = n_taken
                n_left -= n_taken
        return sum(given.values())

    def _note_passed_over(self, shares: dict[RequestId, int]) -> None:
        for entry in self._waiting.values():
            entry.n_passed_over += 1
        for request_id, entry in self._running.items():
            entry.n_passed_over += request_id not in shares


def _queues(entries: Iterable[_Entry]) -> dict[str, list[_Entry]]:
    """Each client's rows in the order it wants them.

    Overdue ones come first, the oldest before the others. Then its newest owner's, and of one
    owner the oldest row first.
    """
    by_client: dict[str, list[_Entry]] = {}
    newest: dict[tuple[str, str], int] = {}
    for entry in entries:
        by_client.setdefault(entry.client, []).append(entry)
        key = entry.client, entry.owner
        newest[key] = max(newest.get(key, entry.number), entry.number)

    def place(entry: _Entry) -> tuple[bool, int, int]:
        return not entry.is_overdue, *(
            (0, entry.number)
            if entry.is_overdue
            else (-newest[entry.client, entry.owner], entry.number)
        )

    for queue in by_client.values():
        queue.sort(key=place)
    return by_client
