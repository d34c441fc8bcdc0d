"""A hub over loopback with one model, and a cache of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fimble_testing.fake_hub import FakeHub, serve_hub
from fimble_testing.served_model import NAME, write_model


@pytest.fixture(scope="session")
def served() -> Iterator[FakeHub]:
    with serve_hub() as hub:
        yield hub


@pytest.fixture
def hub(served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The hub anew. What is to be waited before asking again is not waited."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    write_model(tmp_path / "repository")
    served.repositories = {NAME: tmp_path / "repository"}
    served.reset()
    return served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
