"""Scratch memory of the native kernels, freed with its owner."""

from __future__ import annotations

import weakref

from fimble_model.network.native.library import load_library

__all__ = ["Workspace"]


class Workspace:
    """Grows with the largest pass and is kept. One thread at a time may use it."""

    def __init__(self) -> None:
        library = load_library()
        assert library is not None, "scratch without the native library"
        self.address: int = library.fimble_new_workspace()
        if not self.address:
            raise MemoryError
        weakref.finalize(self, library.fimble_free_workspace, self.address)

    def check(self, status: int) -> None:
        """Raise `MemoryError` where a call found no room for its scratch."""
        if status:
            raise MemoryError("no memory for a pass of the native kernels")
