"""What holds for every test: tiny models, many of them, on one thread each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Set before torch is imported, and inherited by the servers that tests start. Tests run side by
# side with whatever the machine does; two threads that wait for each other are far slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read where Triton is imported, which torch may do: without a GPU its kernels are interpreted.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# A busy machine is not a fault of the code: tests count, they do not time.
settings.register_profile("fimble", deadline=None)
settings.load_profile("fimble")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption(
        "--every-cursor",
        action="store_true",
        help="Try the stop law at every cursor of every sample file: some minutes.",
    )
