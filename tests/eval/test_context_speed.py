"""The index's costs are measured on a copy: the project itself is only read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fimble_eval.context_speed import measure_context_speed
from fimble_model.errors import FimbleError


def test_a_copy_is_measured_and_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    text = "".join(f"value_{index} = compute({index})  # 😀\n" for index in range(40))
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    speed = measure_context_speed(tmp_path, model="fimble-nano", n_files=5)
    assert (speed.n_files, speed.n_chars) == (2, 2 * len(text))
    assert speed.memory_mib < 1
    if sys.platform == "linux":
        assert speed.process_peak_mib is not None
        assert speed.server_growth_mib is not None
        assert speed.total_peak_mib is not None
        assert speed.total_peak_mib < 150
        assert speed.process_peak_mib < speed.total_peak_mib + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py", "b.py"]
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == text


def test_a_folder_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FimbleError):
        measure_context_speed(tmp_path, model="fimble-nano", n_files=5)
