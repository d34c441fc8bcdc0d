"""Where a network runs: the device, the type of its numbers, and how many threads it may use.

Owns `Placement` and the rules that choose one. Never moves a tensor and knows no checkpoint.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass

import torch

from fimble_model.errors import DeviceError
from fimble_model.network.native.library import kernels_name

__all__ = [
    "Dtype",
    "Kernels",
    "Placement",
    "choose_placement",
    "count_cores",
    "has_fast_native_kernels",
    "has_fbgemm",
    "plan_native_threads",
    "plan_threads",
]


class Dtype(enum.Enum):
    """The type of the weights in matmuls.

    Int8 weights come with float32 everywhere else; on a GPU int8 and fp8 weights come with
    bfloat16, and are the only thing that is rounded.
    """

    INT8 = "int8"
    FP8 = "fp8"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @property
    def compute(self) -> torch.dtype:
        """The type of the hidden states, keys and values."""
        return torch.bfloat16 if self is Dtype.BFLOAT16 else torch.float32


class Kernels(enum.Enum):
    """Whose code computes in int8 on the CPU: our own native library's, or torch's FBGEMM."""

    NATIVE = "native"
    TORCH = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One validated choice. `n_threads` bounds the threads of one CPU operation.

    None leaves them to be planned, which needs the network's size. `kernels` None takes the
    native ones for int8 where they are built and this CPU has fast ones.
    """

    device: str
    dtype: Dtype
    n_threads: int | None = None
    kernels: Kernels | None = None

    @property
    def compute(self) -> torch.dtype:
        """The type of the hidden states, keys and values where it is placed."""
        return torch.bfloat16 if self.is_weight_only else self.dtype.compute

    @property
    def is_weight_only(self) -> bool:
        """Whether weights are rounded and nothing else: on a GPU."""
        return self.device != "cpu" and self.dtype in (Dtype.INT8, Dtype.FP8)

    @property
    def wants_native(self) -> bool:
        """Whether the native kernels are there and shall run what they can."""
        if self.dtype is not Dtype.INT8 or self.device != "cpu" or kernels_name() is None:
            return False
        if self.kernels is None:
            return has_fast_native_kernels() or not has_fbgemm()
        return self.kernels is Kernels.NATIVE

    @property
    def torch_device(self) -> torch.device:
        """The device in torch's words."""
        return torch.device(self.device)


def choose_placement(
    *, device: str = "auto", dtype: str = "auto", n_threads: int | None = None
) -> Placement:
    """The placement for what the user asked, "auto" and None leaving the choice to us.

    A CUDA device with bfloat16 where there is one, else the CPU with int8 where this CPU has fast
    kernels for it (ours, or FBGEMM), else the CPU with float32. Raises `DeviceError` for what this
    machine lacks.
    """
    chosen_device = _choose_device(device)
    return Placement(
        device=chosen_device,
        dtype=_choose_dtype(dtype, chosen_device),
        n_threads=_check_threads(n_threads),
    )


def plan_threads(*, n_parameters: int, n_cores: int) -> int:
    """Threads for a network on a CPU when the user did not say.

    A small network's matrices take microseconds each: handing half of one to another core costs
    as much. A larger one gets half the cores at most, for threads wait for each other after every
    operator: with 2 threads on 2 cores, one of them kept busy by another program, a pass that
    takes 3 ms on one thread took 20 to 60 ms.
    """
    if n_parameters < _LEAST_PARAMETERS_TO_SHARE:
        return 1
    return max(1, min(n_cores // 2, _MOST_USEFUL_THREADS))


def plan_native_threads(n_cores: int) -> int:
    """The most threads the native kernels may share a pass among, when the user did not say.

    They claim small tasks one by one, so a core that another program keeps busy holds up little;
    but beyond half the cores of a large machine, memory is the limit, not arithmetic.
    """
    return max(1, min(n_cores, max(2, n_cores // 2), _MOST_NATIVE_THREADS))


def count_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_fbgemm() -> bool:
    """True where this torch carries the int8 kernels: on x86."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def has_fast_native_kernels() -> bool:
    """True where the native library is built and this CPU has more than its plain kernels."""
    return kernels_name() not in (None, "generic")


def _choose_device(device: str) -> str:
    kind, _, index = device.partition(":")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    if kind != "cuda" or (index and not index.isdecimal()):
        raise DeviceError(
            expected="device to be auto, cpu, cuda or cuda:N",
            found=f"{device!r}",
            to_do="Use auto to let Fimble choose.",
        )
    if int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            expected=f"a CUDA device for {device!r}",
            found=f"{torch.cuda.device_count()} CUDA devices",
            to_do="Use auto or cpu, or install a torch build that sees the GPU.",
        )
    return device


def _choose_dtype(dtype: str, device: str) -> Dtype:
    has_int8 = device == "cpu" and (has_fbgemm() or has_fast_native_kernels())
    if dtype == "auto":
        if device != "cpu":
            return Dtype.BFLOAT16
        return Dtype.INT8 if has_int8 else Dtype.FLOAT32
    known = {member.value: member for member in Dtype}
    if dtype not in known:
        raise DeviceError(
            expected=f"dtype to be auto, {', '.join(known)}",
            found=f"{dtype!r}",
            to_do="Use auto to let Fimble choose.",
        )
    chosen = known[dtype]
    if chosen is Dtype.FP8 and not _has_fp8(device):
        raise DeviceError(
            expected="a GPU with float8 (compute capability 8.9 or more) for fp8",
            found=f"{device!r}",
            to_do="Use auto, or int8.",
        )
    if chosen is Dtype.INT8 and device == "cpu" and not has_int8:
        raise DeviceError(
            expected="a CPU with kernels for int8 (an x86 CPU has them)",
            found=f"{device!r} without native kernels or FBGEMM",
            to_do="Use auto, float32 on this CPU, or bfloat16 on a GPU.",
        )
    if chosen is Dtype.BFLOAT16 and device == "cpu":
        # NOTE: without AMX, oneDNN's bfloat16 matmul is hundreds of times slower than float32.
        raise DeviceError(
            expected="int8 or float32 on the CPU",
            found="bfloat16",
            to_do="Use auto, or set device to cuda.",
        )
    return chosen


def _has_fp8(device: str) -> bool:
    return device != "cpu" and torch.cuda.get_device_capability(device) >= (8, 9)


def _check_threads(n_threads: int | None) -> int | None:
    if n_threads is not None and not 1 <= n_threads <= _MOST_THREADS:
        raise DeviceError(
            expected=f"n_threads from 1 to {_MOST_THREADS}",
            found=f"{n_threads}",
            to_do="Leave it unset to let Fimble choose.",
        )
    return n_threads


_LEAST_PARAMETERS_TO_SHARE = 20_000_000
# Guessed; measure on machines with many cores.
_MOST_USEFUL_THREADS = 4
_MOST_NATIVE_THREADS = 8
_MOST_THREADS = 1024
