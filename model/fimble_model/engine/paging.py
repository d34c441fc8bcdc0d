"""Rows of tokens over shared pages: which page holds which slots, and what is dropped first.

Owns the pages' references, the promises made to rows in use, and the order of eviction. Pure: a
page is a number, a copy of one is a call that was passed in. Slots are matched by token ids alone:
one is reused only where it and all before it hold the same tokens. Knows no tensors.

    page   64 slots; slot i of a row lies in its page i // 64
    row    tokens and their pages; a page may belong to many rows, and then nobody writes to it
    floor  how many tokens a row found when it was acquired; it never rolls back below them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fimble_model.engine.prefix import is_worth_moving, n_common_tokens
from fimble_model.engine.protocol import TokenId

__all__ = ["PAGE_SLOTS", "PagedRow", "PagedRows", "Pages", "n_pages_for"]

PAGE_SLOTS = 64


def n_pages_for(n_slots: int) -> int:
    """Pages that hold so many slots.

    >>> n_pages_for(65)
    2
    """
    return -(-n_slots // PAGE_SLOTS)


class Pages:
    """A pool of pages, each free or referenced. Keeps the count of references of each.

    Numbers start at `first_page`; what lies before it is the pool's own.
    """

    def __init__(self, n_pages: int, first_page: int = 0) -> None:
        self.n_pages = n_pages
        self._n_references: dict[int, int] = {}
        self._free: list[int] = []
        # From _next_new on they were never taken: memory that the system has not given yet.
        self._next_new = first_page

    @property
    def n_used(self) -> int:
        """Pages that some row holds."""
        return len(self._n_references)

    @property
    def has_free(self) -> bool:
        """Whether `take` can give one."""
        return self.n_used < self.n_pages

    def take(self) -> int:
        """A free page, the one used last first. There must be one."""
        assert self.has_free, "no page is free"
        if self._free:
            page = self._free.pop()
        else:
            page = self._next_new
            self._next_new += 1
        self._n_references[page] = 1
        return page

    def share(self, page: int) -> None:
        """One more row holds the page."""
        self._n_references[page] += 1

    def drop(self, page: int) -> None:
        """One row fewer holds the page; the last one frees it."""
        self._n_references[page] -= 1
        if not self._n_references[page]:
            del self._n_references[page]
            self._free.append(page)

    def is_shared(self, page: int) -> bool:
        """Whether more than one row holds the page, so that nobody may write to it."""
        return self._n_references[page] > 1


class PagedRow:
    """One row's tokens. Slot i holds what the network made of `token_ids[i]`.

    A pass calls `prepare`, writes the next slots of `pages`, and then `extend`s. Slots from
    `len(token_ids)` on hold anything.
    """

    def __init__(self, rows: PagedRows, capacity: int) -> None:
        self.capacity = capacity
        self.token_ids: list[TokenId] = []
        self.pages: list[int] = []
        self.n_floor = 0
        self._rows = rows

    @property
    def n_promised_pages(self) -> int:
        """Pages that the row may yet need for itself alone: all that reach above its floor."""
        return n_pages_for(self.capacity) - self.n_floor // PAGE_SLOTS

    @property
    def floor_pages(self) -> list[int]:
        """Pages below the floor, which the row only reads."""
        return self.pages[: self.n_floor // PAGE_SLOTS]

    def prepare(self, n_tokens: int) -> None:
        """Make the next `n_tokens` slots the row's own. Never fails within its capacity."""
        n_held = len(self.token_ids)
        assert n_held + n_tokens <= self.capacity, "a row outgrew its slots"
        if n_held % PAGE_SLOTS:
            self._rows.make_own(self, n_held // PAGE_SLOTS)
        while len(self.pages) * PAGE_SLOTS < n_held + n_tokens:
            self.pages.append(self._rows.take_page())

    def extend(self, token_ids: Sequence[TokenId]) -> None:
        """Keep the next slots, which a pass has written for these tokens."""
        self.token_ids.extend(token_ids)
        assert len(self.token_ids) <= len(self.pages) * PAGE_SLOTS, "slots were not prepared"

    def truncate(self, n_tokens: int) -> None:
        """Roll back to the first `n_tokens` slots, which are not below the floor."""
        assert n_tokens >= self.n_floor, "a row rolled back below its floor"
        del self.token_ids[n_tokens:]
        self._rows.drop_pages(self, n_pages_for(len(self.token_ids)))


class _Match(NamedTuple):
    row: PagedRow
    n_tokens: int


class PagedRows:
    """All rows over one pool, in use or kept. Kept rows lie in order of their last use.

    Keeps the invariants that a page of a row in use is never dropped, that a shared page is never
    written, and that every row in use can fill its capacity whatever the others do: the pages that
    rows in use only read, and those they may need for themselves, together fit the pool.
    """

    def __init__(
        self,
        *,
        n_pages: int,
        max_tokens: int,
        copy_page: Callable[[int, int], None],
        first_page: int = 0,
    ) -> None:
        self.pages = Pages(n_pages, first_page)
        self._first_page = first_page
        self._max_tokens = max_tokens
        self._copy_page = copy_page
        self._kept: list[PagedRow] = []
        self._in_use: list[PagedRow] = []
        self._n_readers: Counter[int] = Counter()

    @property
    def n_rows_in_use(self) -> int:
        """Rows that were acquired and not released."""
        return len(self._in_use)

    @property
    def max_row_tokens(self) -> int:
        """The longest row that could ever be served."""
        return min(self._max_tokens, self.pages.n_pages * PAGE_SLOTS)

    def n_cached_tokens(self, token_ids: Sequence[TokenId]) -> int:
        """How many of a prompt's first tokens some row holds."""
        best = self._find_best(token_ids)
        return best.n_tokens if best else 0

    def try_acquire(self, token_ids: Sequence[TokenId], n_slots: int) -> PagedRow | None:
        """A row of `n_slots` slots that holds as much of the prompt as there is.

        Its `token_ids` say what it holds: always less than the whole prompt, because the
        network must see the last token to say what follows. None where rows in use leave no room.
        """
        assert n_slots <= self.max_row_tokens, "a row longer than the context"
        best = self._find_best(token_ids)
        # A row may be asked for fewer slots than are found; what is found then says how many.
        n_found = best.n_tokens if best else 0
        row = PagedRow(self, n_pages_for(max(n_slots, n_found)) * PAGE_SLOTS)
        row.n_floor = n_found
        if best:
            row.token_ids = best.row.token_ids[:n_found]
            row.pages = best.row.pages[: n_pages_for(n_found)]
        if not self._fits(row):
            return None
        for page in row.pages:
            self.pages.share(page)
        if best and best.row in self._kept and _is_worth_moving(best):
            self._kept.remove(best.row)
            self.drop_pages(best.row, 0)
        self._in_use.append(row)
        self._n_readers.update(row.floor_pages)
        return row

    def release(self, row: PagedRow) -> None:
        """End a row's use and keep what it holds, as the one used last."""
        self._end_use(row)
        row.n_floor = 0
        row.truncate(len(row.token_ids))
        if row.token_ids:
            self._kept.append(row)

    def discard(self, row: PagedRow) -> None:
        """End a row's use and drop what it holds."""
        self._end_use(row)
        self.drop_pages(row, 0)

    def drop_kept(self) -> None:
        """Drop all that no row in use holds."""
        for row in self._kept:
            self.drop_pages(row, 0)
        self._kept.clear()

    def start_over(self, n_pages: int) -> None:
        """Go on with so many pages, all of them free. No row may be in use."""
        assert not self._in_use, "rows in use would lose their pages"
        self._kept.clear()
        self.pages = Pages(n_pages, self._first_page)

    def take_page(self) -> int:
        """A page for a row in use, if need be from the row that was not used for longest."""
        while not self.pages.has_free:
            self._drop_oldest_page()
        return self.pages.take()

    def make_own(self, row: PagedRow, index: int) -> None:
        """Copy a page of a row on use that others hold too."""
        while self.pages.is_shared(row.pages[index]) and not self.pages.has_free:
            # The other holder may be a kept row that is dropped now.
            self._drop_oldest_page()
        if self.pages.is_shared(row.pages[index]):
            page = self.pages.take()
            self._copy_page(row.pages[index], page)
            self.pages.drop(row.pages[index])
            row.pages[index] = page

    def drop_pages(self, row: PagedRow, n_kept: int) -> None:
        """Drop a row's pages from the last on until `n_kept` are left."""
        while len(row.pages) > n_kept:
            self.pages.drop(row.pages.pop())

    def _end_use(self, row: PagedRow) -> None:
        self._in_use.remove(row)
        for page in row.floor_pages:
            self._n_readers[page] -= 1
            if not self._n_readers[page]:
                del self._n_readers[page]

    def _fits(self, row: PagedRow) -> bool:
        n_read = len(self._n_readers.keys() | set(row.floor_pages))
        n_promised = sum(other.n_promised_pages for other in self._in_use)
        return n_read + n_promised + row.n_promised_pages <= self.pages.n_pages

    def _find_best(self, token_ids: Sequence[TokenId]) -> _Match | None:
        """The longest match; of equal ones the row used last, kept rows before rows in use."""
        wanted = list(token_ids[: len(token_ids) - 1])
        best: _Match | None = None
        n_best = 0
        for rows in (self._kept, self._in_use):
            for row in reversed(rows):
                if n_best == len(wanted):
                    return best
                held = row.token_ids
                # Most rows are told apart from a better match by one token.
                if len(held) <= n_best or held[n_best] != wanted[n_best]:
                    continue
                n_tokens = n_common_tokens(held, wanted)
                if n_tokens > n_best:
                    best, n_best = _Match(row, n_tokens), n_tokens
        return best

    def _drop_oldest_page(self) -> None:
        """The end of the oldest kept row goes first: its start is what others share."""
        assert self._kept, "rows in use were promised more than there is"
        oldest = self._kept[0]
        oldest.truncate((len(oldest.pages) - 1) * PAGE_SLOTS)
        if not oldest.pages:
            del self._kept[0]


def _is_worth_moving(match: _Match) -> bool:
    return is_worth_moving(n_shared_tokens=match.n_tokens, n_cached_tokens=len(match.row.token_ids))
