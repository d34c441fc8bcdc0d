"""The files that decisions are timed in are long, and whole."""

from __future__ import annotations

import pytest

from fimble_eval import decision_speed
from fimble_eval.decision_speed import LANGUAGE_IDS, measure_decisions


@pytest.mark.parametrize("language_id", LANGUAGE_IDS)
def test_every_key_of_a_long_file_is_timed(
    monkeypatch: pytest.MonkeyPatch, language_id: str
) -> None:
    """5,000 lines, each key forth and back, and figures that are in order."""
    monkeypatch.setattr(decision_speed, "_N_SPOTS", 1)
    speed = measure_decisions(language_id)
    assert speed.n_lines >= 5_000
    assert speed.n_keys > 100
    assert 0 < speed.p50_ms <= speed.p95_ms
    assert 0 < speed.cpu_p50_ms <= speed.cpu_p95_ms <= speed.cpu_worst_ms
