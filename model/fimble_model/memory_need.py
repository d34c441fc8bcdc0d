"""Whether a model fits into this machine's memory, asked before a weight of it is read.

Owns the refusal and its figures, and the asking for what is free. A load that the system ends half
way tells nobody why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fimble_model.errors import DeviceError

__all__ = ["MemoryNeed", "find_free_bytes", "refuse_too_large"]

_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes of a model that serves: weights, texts that were read, the project's index."""

    weight_bytes: int
    cache_bytes: int
    index_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """All of them."""
        return self.weight_bytes + self.cache_bytes + self.index_bytes


def refuse_too_large(need: MemoryNeed, free_bytes: int | None, where: str) -> None:
    """Raise `DeviceError` for more than is free; None says that nobody knows what is."""
    if free_bytes is None or need.n_bytes <= free_bytes:
        return
    raise DeviceError(
        expected=f"{_to_mib(need.n_bytes)} MiB of memory that is free on {where}: "
        f"{_to_mib(need.weight_bytes)} for this model's weights, {_to_mib(need.cache_bytes)} for "
        f"texts that were read and {_to_mib(need.index_bytes)} for the project's index",
        found=f"{free_bytes // 2**20} MiB",
        to_do="Choose a smaller model (`fimble models` says what fits), end other programs, or "
        "bound texts and index together with the weights by model.memory_mib.",
    )


def find_free_bytes(meminfo: Path = _MEMINFO, own_group: Path = _OWN_GROUP) -> int | None:
    """Memory that this process could still have; None where the system does not say.

    What the system calls available, or what a container's limit leaves where that is less.
    """
    known = [each for each in (_available(meminfo), _left_in_group(own_group)) if each is not None]
    return min(known, default=None)


def _available(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _left_in_group(own_group: Path) -> int | None:
    """Of a control group's limit (version 2), what is neither held nor a file's page."""
    try:
        lines = own_group.read_text(encoding="ascii").splitlines()
        (path,) = [line[3:] for line in lines if line.startswith("0::")]
        folder = _GROUPS / path.lstrip("/")
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        held = int((folder / "memory.current").read_text(encoding="ascii"))
        stated = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        pages = sum(int(line.split()[1]) for line in stated if line.startswith("inactive_file "))
        return max(0, int(limit) - held + pages)
    except (OSError, ValueError):
        return None


def _to_mib(n_bytes: int) -> int:
    return -(-n_bytes // 2**20)
