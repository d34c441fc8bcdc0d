"""Keys and values on a GPU: pages whose slots lie outside the heads, as paged kernels want them.

Owns that memory and its size. Page 0 is the scratch page: padding reads and writes there, and it
is never handed out. Who holds which page is `engine.paging`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fimble_model.engine.kv_cache import KvLayout, KvRows
from fimble_model.engine.paging import PAGE_SLOTS

__all__ = ["SCRATCH_PAGE", "GpuCache", "GpuPool"]

SCRATCH_PAGE = 0


class GpuPool:
    """The memory of `n_pages` pages and of the scratch page before them: P = n_pages + 1.

    Every number in it is finite, for attention weighs what it does not see by 0.
    """

    def __init__(self, layout: KvLayout, n_pages: int) -> None:
        self.layout = layout
        self.n_pages = n_pages
        self.keys_LPSKD, self.values_LPSKD = _allocate(layout, n_pages)

    def copy_page(self, source: int, target: int) -> None:
        """Make one page hold what another does."""
        self.keys_LPSKD[:, target].copy_(self.keys_LPSKD[:, source])
        self.values_LPSKD[:, target].copy_(self.values_LPSKD[:, source])

    def resize(self, n_pages: int) -> None:
        """Have so many pages, all of them empty, at other addresses.

        What there was is freed first. Where memory fails for so many, there are half as many,
        and so on; raises what the allocator raises where there is none for the scratch page.
        """
        empty = self.keys_LPSKD.new_empty(0)
        while True:
            self.keys_LPSKD = self.values_LPSKD = empty
            if self.layout.device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                self.keys_LPSKD, self.values_LPSKD = _allocate(self.layout, n_pages)
            except (MemoryError, torch.OutOfMemoryError):
                if n_pages < 1:
                    raise
                n_pages //= 2
            else:
                self.n_pages = n_pages
                return


class GpuCache(KvRows):
    """All rows of one model over a `GpuPool`. `budget_bytes` is what the pool may grow to."""

    def __init__(self, layout: KvLayout, budget_bytes: int) -> None:
        self.pool = GpuPool(layout, budget_bytes // layout.bytes_per_page)
        super().__init__(
            layout,
            budget_bytes=budget_bytes,
            copy_page=self.pool.copy_page,
            first_page=SCRATCH_PAGE + 1,
        )

    def resize(self, n_pages: int) -> None:
        """Go on with so many pages, or fewer where memory fails. No row may be in use."""
        assert not self.n_rows_in_use, "rows in use would lose their pages"
        self.start_over(0)
        self.pool.resize(n_pages)
        self.start_over(self.pool.n_pages)


def _allocate(layout: KvLayout, n_pages: int) -> tuple[Tensor, Tensor]:
    shape = (
        layout.n_layers,
        SCRATCH_PAGE + 1 + n_pages,
        PAGE_SLOTS,
        layout.n_key_heads,
        layout.head_size,
    )
    keys = torch.zeros(shape, dtype=layout.dtype, device=layout.device)
    return keys, torch.zeros_like(keys)
