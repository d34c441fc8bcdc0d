"""The native library as Python sees it: its structures, its calls, and whether it is there.

Owns the mirror of network.h, and the one handle of the library. Never builds it, and knows no
torch: addresses are plain numbers.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from ctypes import POINTER, Structure, c_float, c_int32, c_void_p
from typing import Any

from fimble_model.network.native.build import LIBRARY_PATH, digest_sources

__all__ = [
    "PAGE_SLOTS",
    "PANEL",
    "LayerStruct",
    "LinearStruct",
    "NetworkStruct",
    "PassStruct",
    "kernels_name",
    "load_library",
    "set_threads",
    "use_kernels",
]

log = logging.getLogger(__name__)

# As in kernels.h.
PANEL = 16
PAGE_SLOTS = 64


class LinearStruct(Structure):
    """`struct linear`."""

    _fields_ = (
        ("panels", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("n_inputs", c_int32),
        ("n_outputs", c_int32),
        ("n_panels", c_int32),
        ("is_paired", c_int32),
    )


class LayerStruct(Structure):
    """`struct layer`."""

    _fields_ = (
        ("attention_gain", c_void_p),
        ("qkv", LinearStruct),
        ("query_gain", c_void_p),
        ("key_gain", c_void_p),
        ("output", LinearStruct),
        ("feed_forward_gain", c_void_p),
        ("gate_up", LinearStruct),
        ("down", LinearStruct),
    )


class NetworkStruct(Structure):
    """`struct network`."""

    _fields_ = (
        ("n_layers", c_int32),
        ("width", c_int32),
        ("n_query_heads", c_int32),
        ("n_key_heads", c_int32),
        ("head_size", c_int32),
        ("inner_width", c_int32),
        ("n_vocabulary", c_int32),
        ("embedding_number", c_int32),
        ("norm_epsilon", c_float),
        ("embedding", c_void_p),
        ("layers", POINTER(LayerStruct)),
        ("final_gain", c_void_p),
        ("head", LinearStruct),
    )


class PassStruct(Structure):
    """`struct pass`."""

    _fields_ = (
        ("n_pieces", c_int32),
        ("n_tokens", c_int32),
        ("n_loud", c_int32),
        ("pieces", c_void_p),
        ("token_ids", c_void_p),
        ("pages", c_void_p),
        ("cos_PD", c_void_p),
        ("sin_PD", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("n_pages", c_int32),
        ("logprobs", c_void_p),
        ("best", c_void_p),
    )


@functools.cache
def load_library() -> Any | None:
    """The library, or None where it was not built or is another version's."""
    if not LIBRARY_PATH.exists():
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY_PATH))
        library.fimble_size_of.restype = c_int32
    except (OSError, AttributeError) as error:
        log.warning("the native kernels do not load (%s); build them again", error)
        return None
    if not _is_of_these_sources(library):
        log.warning("the native kernels are of another version; build them again")
        return None
    structs = (LinearStruct, LayerStruct, NetworkStruct, PassStruct)
    sizes = [library.fimble_size_of(index) for index in range(len(structs))]
    if sizes != [ctypes.sizeof(struct) for struct in structs]:
        log.warning("the native kernels are of another version; build them again")
        return None
    library.fimble_new_workspace.restype = c_void_p
    library.fimble_new_workspace.argtypes = ()
    library.fimble_free_workspace.argtypes = (c_void_p,)
    library.fimble_free_workspace.restype = None
    library.fimble_run_pass.argtypes = (c_void_p, c_void_p, c_void_p)
    library.fimble_multiply.argtypes = (c_void_p, c_void_p, c_int32, c_void_p, c_void_p)
    library.fimble_set_threads.argtypes = (c_int32,)
    library.fimble_kernels_name.restype = ctypes.c_char_p
    library.fimble_use_kernels.argtypes = (ctypes.c_char_p,)
    numbers, addresses = c_int32, c_void_p
    library.fimble_memory_find.argtypes = (addresses, numbers, *(addresses,) * 4)
    library.fimble_memory_blend.argtypes = (
        *(addresses, addresses, numbers),
        *(addresses, addresses, addresses, numbers),
        *(addresses, numbers, addresses),
    )
    return library


def _is_of_these_sources(library: Any) -> bool:
    try:
        library.fimble_sources.restype = ctypes.c_char_p
        built_of = library.fimble_sources().decode()
    except AttributeError:
        return False
    return bool(built_of == digest_sources())


def kernels_name() -> str | None:
    """The kernels this CPU gets ("avx2", "avx512", "generic"); None without the library."""
    library = load_library()
    return None if library is None else library.fimble_kernels_name().decode()


def use_kernels(name: str) -> bool:
    """Use kernels by their name from now on; False where this CPU cannot."""
    library = load_library()
    return library is not None and bool(library.fimble_use_kernels(name.encode()))


def set_threads(n_threads: int) -> int:
    """Share each pass among so many threads, of the whole process; how many it became."""
    library = load_library()
    return 1 if library is None else int(library.fimble_set_threads(n_threads))
