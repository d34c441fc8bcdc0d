"""Memory that nothing refers to any more, given back; and what stays, left alone by the collector.

Owns these two acts. Imports no torch: where torch was never started there is little to give back.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["built_to_stay", "give_back_memory"]


@contextmanager
def built_to_stay() -> Iterator[None]:
    """What is built inside is not looked through again by Python's collector of cycles.

    Torch and a model are some 200,000 objects. A full collection walks them all, in about a tenth
    of a second and in the middle of some keystroke, and never finds anything to free among them.
    Inside, nothing is collected: an import is faster so.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _set_aside()
        if was_on:
            gc.enable()


def _set_aside() -> None:
    """Collect among everything once, then exempt all that is there from now on."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Collect what is unreachable, then have the allocators return their free pages.

    Python and torch free into the C library's heap, which keeps pages for later; glibc alone
    says how to hand them back. A GPU's are kept by torch's own allocator. Takes some
    milliseconds: call it where nobody waits.
    """
    _set_aside()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
