"""What the runner asks of a device besides arithmetic: host memory, marks, graphs, free bytes.

Owns every call of `torch.cuda` that the runner makes. `HostCard` is the same on a CPU, where
everything has happened when a call returns; it lets all else be tested without a GPU.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["Card", "CudaCard", "GraphMemory", "HostCard", "Mark", "Replay", "open_card"]

# Runs before a capture: libraries make their workspaces and Triton its kernels in the first.
_N_RUNS_BEFORE_CAPTURE = 2


class Mark(Protocol):
    """A moment in the device's work."""

    def wait(self) -> None:
        """Return once the device has come to it."""
        ...


class Replay(Protocol):
    """A captured computation."""

    def replay(self) -> None:
        """Have the device compute it again, from what its inputs hold then."""
        ...


class Card(Protocol):
    """A device as the runner uses it. Belongs to the engine's thread."""

    @property
    def device(self) -> torch.device:
        """The device in torch's words."""
        ...

    @property
    def can_capture(self) -> bool:
        """Whether it has graphs."""
        ...

    def new_host_bytes(self, n_bytes: int) -> Tensor:
        """Zeroed host memory that copies to and from the device need not wait for."""
        ...

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy between host and device, in the order of the device's work, without waiting."""
        ...

    def mark(self) -> Mark:
        """The end of all work handed to the device so far."""
        ...

    def capture(self, compute: Callable[[], None]) -> Replay:
        """A graph of the work that a call hands to the device. Raises `RuntimeError`."""
        ...

    def free_bytes(self) -> int | None:
        """Bytes of the device that no process holds; None where it is not the device's to say."""
        ...

    def give_back(self) -> None:
        """Return memory that torch keeps for later."""
        ...


class _Past:
    """A mark that everybody has come to."""

    def wait(self) -> None:
        """Nothing is under way."""


class HostCard:
    """The CPU as a card, without graphs."""

    device = torch.device("cpu")
    can_capture = False

    def new_host_bytes(self, n_bytes: int) -> Tensor:
        """Plain memory."""
        return torch.zeros(n_bytes, dtype=torch.uint8)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy at once."""
        target.copy_(source)

    def mark(self) -> Mark:
        """Now."""
        return _Past()

    def capture(self, compute: Callable[[], None]) -> Replay:
        """There are none."""
        raise RuntimeError("a CPU has no graphs")

    def free_bytes(self) -> int | None:
        """Memory is the system's."""
        return None

    def give_back(self) -> None:
        """Torch keeps none."""


class _CudaMark:
    """A CUDA event, recorded where it was made."""

    def __init__(self) -> None:
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch gives it no types
        self._event.record()

    def wait(self) -> None:
        """Spin until the device has come to it: sleeping would cost tens of microseconds."""
        self._event.synchronize()


@functools.cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: a stream keeps workspaces of some megabytes for as long as we run."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # as above


class GraphMemory:
    """The name of the memory that graphs share; another one where none of them is left.

    Torch refuses to capture into memory whose graphs have all gone before it was given back.
    """

    def __init__(self, new_name: Callable[[], Any]) -> None:
        self._new_name = new_name
        self._name: Any = None
        self._graphs: weakref.WeakSet[Any] = weakref.WeakSet()

    def name(self) -> Any:
        """Where to capture the next graph."""
        if not self._graphs:
            self._name = self._new_name()
        return self._name

    def note(self, graph: object) -> None:
        """A graph lies there now, for as long as anybody holds it."""
        self._graphs.add(graph)


class CudaCard:
    """A CUDA device. All work goes to its current stream, graphs too.

    Keeps the invariant that all graphs share one pool of memory: only one runs at a time.
    """

    can_capture = True

    def __init__(self, device: torch.device) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self.device = torch.device("cuda", index)
        torch.cuda.set_device(self.device)
        self._graph_memory = GraphMemory(torch.cuda.graph_pool_handle)

    def new_host_bytes(self, n_bytes: int) -> Tensor:
        """Pinned memory: others would be copied to such memory first, and waited for."""
        return torch.zeros(n_bytes, dtype=torch.uint8, pin_memory=True)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Queue a copy."""
        target.copy_(source, non_blocking=True)

    def mark(self) -> Mark:
        """Record an event."""
        return _CudaMark()

    def capture(self, compute: Callable[[], None]) -> Replay:
        """Run it twice beside the current stream, then once into a graph."""
        stream, current = _capture_stream(self.device), torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(_N_RUNS_BEFORE_CAPTURE):
                compute()
        current.wait_stream(stream)
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph,
                pool=self._graph_memory.name(),
                stream=stream,
                capture_error_mode="thread_local",
            ):
                compute()
        finally:
            # A capture that fails may leave its own stream behind as the current one.
            torch.cuda.set_stream(current)
        self._graph_memory.note(graph)
        return graph

    def free_bytes(self) -> int | None:
        """What the driver has free; what torch keeps for later is not free to others."""
        return torch.cuda.mem_get_info(self.device)[0]

    def give_back(self) -> None:
        """Return what torch's allocator keeps."""
        torch.cuda.empty_cache()


def open_card(device: torch.device) -> Card:
    """The card of a device that torch has."""
    return CudaCard(device) if device.type == "cuda" else HostCard()
