"""The native search in the project memory, and the native mix of its word with a network's.

Owns the mirror of memory.h and the two calls. Knows no documents and no rule's numbers: it is
handed arrays, and gives arrays. What it computes is what NumPy computes in the engine, some ten
times faster; where the library was not built there is neither.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from ctypes import Structure, c_double, c_int32, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fimble_model.network.native.library import load_library

__all__ = ["Finder", "Found", "Seen", "SegmentArrays", "build_rule", "try_blend", "try_finder"]

# As in memory.h.
_MOST_PLACES, _MOST_ORDER, _N_ORDERS, _N_LEVELS = 128, 7, 6, 3


class _SegmentStruct(Structure):
    """`struct memory_segment`."""

    _fields_ = (
        ("tokens", c_void_p),
        ("offsets", c_void_p),
        ("places", c_void_p),
        ("starts", c_void_p),
        ("levels", c_void_p),
        ("n_documents", c_int32),
        ("n_shifted_bits", c_int32),
        ("is_wide", c_int32),
    )


class _RuleStruct(Structure):
    """`struct memory_rule`."""

    _fields_ = (
        ("weight_of_level", c_double * _N_LEVELS),
        ("least_share", c_double * _N_ORDERS),
        ("by_weight", c_double),
        ("by_rival_share", c_double),
        ("by_rivals", c_double),
        ("by_sureness", c_double),
    )


class SegmentArrays:
    """One segment as memory_index.py has it. Keeps the invariant that its arrays live and lie close
    for as long as their addresses are known here.
    """

    def __init__(
        self,
        *,
        tokens: NDArray[Any],
        offsets: NDArray[np.int32],
        places: NDArray[np.int32],
        starts: NDArray[np.int32],
        n_shifted_bits: int,
    ) -> None:
        self._arrays = (tokens, offsets, places, starts)
        assert all(array.flags.c_contiguous for array in self._arrays), "of arrays that lie close"
        self._addresses = tuple(map(_address_of, self._arrays))
        self._sizes = (len(starts), n_shifted_bits, tokens.itemsize == 4)

    def seen_with(self, levels: NDArray[np.int8]) -> _SegmentStruct:
        """It as a row sees it whose documents' nearness these levels are. They must outlive it."""
        return _SegmentStruct(*self._addresses, _address_of(levels), *self._sizes)


class Seen(NamedTuple):
    """A segment, and how near each of its documents is to a row."""

    arrays: SegmentArrays
    levels: NDArray[np.int8]


class Found(NamedTuple):
    """What followed, how many tokens before it are the context's, and how near its text is."""

    next_ids: NDArray[np.int32]
    n_equal: NDArray[np.int32]
    levels: NDArray[np.int8]


class Finder:
    """The search over some segments. Keeps the invariant that the arrays live as long as it does.

    One thread at a time: what is found is first written to room of its own.
    """

    def __init__(self, library: Any, segments: Sequence[Seen]) -> None:
        self._find = library.fimble_memory_find
        self._segments = segments
        structs = (arrays.seen_with(levels) for arrays, levels in segments)
        self._structs = (_SegmentStruct * len(segments))(*structs)
        n_most = _MOST_PLACES * len(segments)
        self._room = Found(
            np.empty(n_most, np.int32), np.empty(n_most, np.int32), np.empty(n_most, np.int8)
        )
        self._context = np.empty(_MOST_ORDER, np.int32)
        self._arguments = (
            ctypes.addressof(self._structs),
            len(segments),
            *(_address_of(array) for array in (self._context, *self._room)),
        )

    def find(self, context: NDArray[np.int32]) -> Found | None:
        """What followed the last tokens of a context of MOST_ORDER; None where nothing did."""
        self._context[:] = context
        n_found = self._find(*self._arguments)
        if not n_found:
            return None
        next_ids, n_equal, levels = self._room
        return Found(next_ids[:n_found].copy(), n_equal[:n_found].copy(), levels[:n_found].copy())


def try_finder(segments: Sequence[Seen]) -> Finder | None:
    """The native search over segments; None without the library, or without segments."""
    library = _library()
    return Finder(library, segments) if library is not None and segments else None


def build_rule(
    *,
    weight_of_level: Sequence[float],
    least_share: Sequence[float],
    by_weight: float,
    by_rival_share: float,
    by_rivals: float,
    by_sureness: float,
) -> object:
    """A rule's numbers for `try_blend`, which memory_mixing.py explains."""
    return _RuleStruct(
        (c_double * _N_LEVELS)(*weight_of_level),
        (c_double * _N_ORDERS)(*least_share),
        by_weight,
        by_rival_share,
        by_rivals,
        by_sureness,
    )


def try_blend(
    rule: object,
    logprobs_V: NDArray[np.float32],
    found: Found,
    control_ids: NDArray[np.int32],
    mixed_V: NDArray[np.float32],
) -> bool:
    """Write the mix of `logprobs_V` with what was found to `mixed_V`; False where it cannot be.

    All arrays lie close.
    """
    library = _library()
    if library is None:
        return False
    assert isinstance(rule, _RuleStruct), "as build_rule gives it"
    # No array of another kind may reach C, whatever the types say.
    next_ids = np.ascontiguousarray(found.next_ids, np.int32)
    n_equal = np.ascontiguousarray(found.n_equal, np.int32)
    levels = np.ascontiguousarray(found.levels, np.int8)
    refused = library.fimble_memory_blend(
        ctypes.addressof(rule),
        _address_of(logprobs_V),
        len(logprobs_V),
        _address_of(next_ids),
        _address_of(n_equal),
        _address_of(levels),
        len(next_ids),
        _address_of(control_ids),
        len(control_ids),
        _address_of(mixed_V),
    )
    return not refused


@functools.cache
def _library() -> Any | None:
    library = load_library()
    if library is None:
        return None
    sizes = [library.fimble_memory_size_of(index) for index in range(2)]
    assert sizes == [ctypes.sizeof(_SegmentStruct), ctypes.sizeof(_RuleStruct)], "see memory.h"
    return library


def _address_of(array: NDArray[Any]) -> int:
    """Where an array begins. The way by `ctypes` takes three times as long."""
    address: int = array.__array_interface__["data"][0]
    return address
