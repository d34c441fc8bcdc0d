"""The native library is loaded only where it was built of the sources that lie beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fimble_model.network.native import library


@pytest.fixture(autouse=True)
def _forget_the_library() -> Iterator[None]:
    library.load_library.cache_clear()
    yield
    library.load_library.cache_clear()


@pytest.mark.skipif(library.kernels_name() is None, reason="the native kernels were not built")
def test_a_library_of_other_sources_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a structure means can change while its size stays: such a library would crash."""
    assert library.kernels_name() is not None
    library.load_library.cache_clear()
    monkeypatch.setattr(library, "digest_sources", lambda: "other")
    assert library.kernels_name() is None
    assert "build them again" in caplog.text
