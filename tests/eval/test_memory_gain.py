"""What the memory is measured on: honest cases, and files of the right shape."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.memory_gain import _pick_cases, read_packages
from fimble_model.errors import FimbleError


@given(st.integers(0, 1_000), st.integers(1, 30))
def test_at_a_case_nothing_at_or_after_the_cursor_is_known(seed: int, n_cases: int) -> None:
    """What stands above ends before the cursor's line; the line and the middle come after it."""
    text = "\n".join(f"    value_{index} = compute({index}, '😀')" for index in range(20))
    for case in _pick_cases({"a.py": text}, random.Random(seed), n_cases):
        assert case.above == 0 or text[case.above - 1] == "\n"
        assert case.above <= case.cursor < case.line_end <= case.middle_end <= len(text)
        assert "\n" not in text[case.above : case.line_end]


def test_packages_are_read_by_name_and_path(tmp_path: Path) -> None:
    file = tmp_path / "held-out.jsonl"
    document = {"package": "p", "path": "p/a.py", "text": "x = '😀'\n"}
    file.write_text(json.dumps(document) + "\n", encoding="utf-8")
    assert read_packages(file) == {"p": {"p/a.py": "x = '😀'\n"}}


@pytest.mark.parametrize("written", ["no json", "[]", '{"package": "p"}'])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, written: str) -> None:
    file = tmp_path / "held-out.jsonl"
    file.write_text(written, encoding="utf-8")
    with pytest.raises(FimbleError):
        read_packages(file)
