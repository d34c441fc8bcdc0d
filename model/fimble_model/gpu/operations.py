"""The GPU engine's operations, each by the fastest form that this machine has.

Owns the choice: Triton's kernels on a GPU where Triton is installed, xformers for attention over
pages where that is, and plain torch everywhere else. Names, parameters and meaning are
`reference`'s.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from torch import Tensor

from fimble_model.gpu import paged_masks, reference
from fimble_model.gpu.reference import HeadGains

__all__ = [
    "HeadGains",
    "add_norm",
    "attend_paged",
    "attend_prefill",
    "gated",
    "has_kernels",
    "has_triton",
    "linear8",
    "pick",
    "rotate_and_store",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed: it comes with torch for CUDA, and with fimble[gpu]."""
    return importlib.util.find_spec("triton") is not None


def has_kernels(tensor: Tensor) -> bool:
    """Whether Triton's kernels can have such a tensor."""
    return tensor.is_cuda and has_triton()


def _by_kernel(meaning: Callable[_P, _R], module_name: str) -> Callable[_P, _R]:
    """The operation by the kernel of its name where its first tensor is on a GPU."""

    @functools.cache
    def find_kernel() -> Callable[_P, _R]:
        module = importlib.import_module(f"fimble_model.gpu.kernels.{module_name}")
        return cast("Callable[_P, _R]", getattr(module, meaning.__name__))

    @functools.wraps(meaning)
    def operate(*arguments: _P.args, **named: _P.kwargs) -> _R:
        first = arguments[0]
        assert isinstance(first, Tensor), "an operation's first argument is a tensor"
        return (find_kernel() if has_kernels(first) else meaning)(*arguments, **named)

    return operate


add_norm = _by_kernel(reference.add_norm, "norms")
gated = _by_kernel(reference.gated, "norms")
rotate_and_store = _by_kernel(reference.rotate_and_store, "rotary")
pick = _by_kernel(reference.pick, "picking")
# Torch takes its flash kernel where that serves.
attend_prefill = reference.attend_prefill

_attend_by_triton = _by_kernel(reference.attend_paged, "attention")


@functools.wraps(reference.attend_paged)
def attend_paged(
    q_BTHD: Tensor, keys_PSKD: Tensor, values_PSKD: Tensor, *rest: Tensor | float
) -> Tensor:
    """See `reference.attend_paged`."""
    is_served = paged_masks.serves(q_BTHD, keys_PSKD)
    attend = cast(
        "Callable[..., Tensor]", paged_masks.attend_paged if is_served else _attend_by_triton
    )
    return attend(q_BTHD, keys_PSKD, values_PSKD, *rest)


def linear8(x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor) -> Tensor:
    """See `reference.linear8`; a small batch never widens the weights in memory."""
    if has_kernels(x_NE):
        from fimble_model.gpu.kernels import linear

        if x_NE.shape[0] <= linear.MOST_ROWS:
            return linear.multiply(x_NE, weight_OE, scale_O)
    return reference.linear8(x_NE, weight_OE, scale_O)
