"""What a measurement was taken on: hardware, versions, commit, date. Every result carries it."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fimble_server import __version__

__all__ = ["Machine", "describe_machine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The circumstances of a measurement. `memory_gib` is all of the machine's memory."""

    date: str
    commit: str
    fimble: str
    python: str
    processor: str
    n_cores: int
    memory_gib: float


def describe_machine() -> Machine:
    """Read the circumstances off this machine. Unknown parts say "unknown"."""
    return Machine(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        commit=_git_commit(),
        fimble=__version__,
        python=platform.python_version(),
        processor=_processor_name(),
        n_cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_gib=_memory_gib(),
    )


def _git_commit() -> str:
    finished = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout.strip() or "unknown"


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _memory_gib() -> float:
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0.0
    return round(n_bytes / 2**30, 1)
