"""The latency replay measures a real server process over stdio."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble_eval import typing_replay
from fimble_eval.latency import measure_latency
from fimble_server.errors import FimbleError

SOURCE = Path(typing_replay.__file__)
TEXT = SOURCE.read_text(encoding="utf-8")


async def test_typing_reuses_most_of_the_prompt() -> None:
    """While a real file is typed, over nine tenths of the prompt's tokens are cached already."""
    seen: list[tuple[int, int]] = []
    report = await measure_latency(
        name=SOURCE.name,
        uri=SOURCE.as_uri(),
        text=TEXT,
        n_spots=1,
        n_chars_per_spot=60,
        on_key=lambda done, total: seen.append((done, total)),
    )
    assert report.model == "fimble-nano"
    assert seen == [(done, report.n_keystrokes) for done in range(1, report.n_keystrokes + 1)]
    assert report.share_by_model > 0
    assert report.reused_token_share > 0.9
    assert report.p50_ms <= report.p95_ms <= report.worst_ms
    assert report.resident_mib > 0


async def test_a_file_with_nothing_to_type_is_refused() -> None:
    """An empty file says what to name instead, before a server is started."""
    with pytest.raises(FimbleError, match=r"Name a longer file"):
        await measure_latency(name="empty.py", uri="file:///empty.py", text="\n\n")
