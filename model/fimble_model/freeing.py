"""Memory that nothing refers to any more, given back to the system.

Owns that one act. Imports no torch: where torch was never started there is little to give back.
"""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["give_back_memory"]


def give_back_memory() -> None:
    """Collect what is unreachable, then have the allocators return their free pages.

    Python and torch free into the C library's heap, which keeps pages for later; glibc alone
    says how to hand them back. A GPU's are kept by torch's own allocator. Takes some
    milliseconds: call it where nobody waits.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
