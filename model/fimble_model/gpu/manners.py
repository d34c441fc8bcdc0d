"""How much of a card the keys and values may take, and when to make room for somebody else.

Owns the arithmetic of sharing a card with other processes. Pure: handed bytes and milliseconds.
"""

from __future__ import annotations

from fimble_model.engine.kv_cache import KvLayout
from fimble_model.engine.paging import n_pages_for

__all__ = ["DEFAULT_CACHE_SHARE", "Manners", "floor_bytes_of", "plan_pool_bytes"]

# Of what is free once the weights are there. Guessed: an editor's companion leaves the most of a
# card to whoever works on it.
DEFAULT_CACHE_SHARE = 0.4

# All guessed. A second between looks; a minute without want before the pool grows again, and only
# where it grows by a quarter, for what is kept is lost by growing.
_LOOK_EVERY_MS = 1000.0
_CALM_MS = 60_000.0
_LEAST_GROWTH = 0.25
_KEPT_WHERE_PRESSED = 0.75
_LEAST_ROW_TOKENS = 8192
_LEAST_FLOOR_BYTES = 256 * 2**20
_FLOOR_SHARE = 0.02


def floor_bytes_of(total_bytes: int) -> int:
    """What of a card is left free for others, at the least."""
    return max(_LEAST_FLOOR_BYTES, int(_FLOOR_SHARE * total_bytes))


def plan_pool_bytes(
    layout: KvLayout, *, free_bytes: int, share: float, floor_bytes: int, n_most_rows: int
) -> int:
    """Bytes for the pages at load: a share of what is free, above a floor for others.

    No more than so many of the longest rows could fill; at least a page, else nothing can run.

    >>> import torch
    >>> tiny = dict(n_layers=1, n_key_heads=1, head_size=1, dtype=torch.float32, max_tokens=64)
    >>> layout = KvLayout(device=torch.device("cpu"), **tiny)
    >>> plan_pool_bytes(layout, free_bytes=9000, share=0.5, floor_bytes=1000, n_most_rows=16)
    3584
    """
    n_bytes = int(share * max(free_bytes - floor_bytes, 0))
    page_bytes = layout.bytes_per_page
    # A page for the scratch comes on top of the rows' own.
    most_bytes = n_most_rows * n_pages_for(layout.max_tokens) * page_bytes
    return max(min(n_bytes, most_bytes) // page_bytes, 1) * page_bytes


class Manners:
    """When the pool becomes another size, and which.

    Keeps the invariants that it never grows beyond what was planned at load, nor shrinks below
    the longest row that completing needs.
    """

    def __init__(self, layout: KvLayout, *, n_most_pages: int, floor_bytes: int) -> None:
        self.floor_bytes = floor_bytes
        self._page_bytes = layout.bytes_per_page
        self._n_most = n_most_pages
        n_least = n_pages_for(min(layout.max_tokens, _LEAST_ROW_TOKENS))
        self._n_least = min(n_least, n_most_pages)
        self._is_pressed = False
        self._looked_ms: float | None = None
        self._wanted_ms: float | None = None

    def note_failure(self) -> None:
        """Memory ran out in a pass."""
        self._is_pressed = True

    def should_look(self, now_ms: float) -> bool:
        """Whether to ask the card what is free: that is no matter for every step."""
        if not self._is_pressed and self._looked_ms is not None:
            return now_ms - self._looked_ms >= _LOOK_EVERY_MS
        return True

    def choose_pages(self, n_pages: int, free_bytes: int | None, now_ms: float) -> int:
        """How many pages to have from now on; `n_pages` where nothing changes.

        `free_bytes` is what no process holds, None where nobody knows.
        """
        self._looked_ms = now_ms
        if self._is_pressed:
            self._is_pressed = False
            return self._shrink(n_pages, int(_KEPT_WHERE_PRESSED * n_pages), now_ms)
        if free_bytes is None:
            return n_pages
        if free_bytes < self.floor_bytes:
            n_missing = -(-(self.floor_bytes - free_bytes) // self._page_bytes)
            return self._shrink(n_pages, n_pages - n_missing, now_ms)
        if self._wanted_ms is None or now_ms - self._wanted_ms < _CALM_MS:
            return n_pages
        # Another floor is left, or the pool would grow and shrink in turns.
        n_spare = (free_bytes - 2 * self.floor_bytes) // self._page_bytes
        n_grown = min(self._n_most, n_pages + n_spare)
        return n_grown if n_grown >= (1 + _LEAST_GROWTH) * n_pages + 1 else n_pages

    def _shrink(self, n_pages: int, n_wanted: int, now_ms: float) -> int:
        self._wanted_ms = now_ms
        return min(n_pages, max(n_wanted, self._n_least))
