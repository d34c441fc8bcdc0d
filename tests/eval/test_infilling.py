"""Infilling is scored as published: the filling brings its own indentation and line end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from fimble_eval.benchmarks.infilling import REQUIRED, first_line, hole_of, open_line_of
from fimble_eval.benchmarks.infilling_score import View, score_infilling
from fimble_eval.benchmarks.task_file import choose_some, read_records
from fimble_eval.filling.hole import Filling
from fimble_eval.rivals.choosing import Rival
from fimble_eval.sandbox.sandbox import why_unavailable
from fimble_model.errors import FimbleError
from fimble_testing.fake_engine import FakeEngine, Prompted

_LACK = why_unavailable()
_TASK = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "add",
    "prompt": "def add(a, b):\n    total = a\n",
    "canonical_solution": "    total += b\n",
    "suffix": "    return total\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
_SPAN = _TASK | {
    "task_id": "RandomSpanInfillingLight/HumanEval/0/1",
    "prompt": "def add(a, b):\n    total = (a",
    "canonical_solution": " + b",
    "suffix": ")\n    return total\n",
}


def _score(task: dict[str, str], written: str, view: View) -> dict[str, object]:
    def write(prompted: Prompted) -> str:
        return written

    rival = Rival(engine=FakeEngine(write), label="fake")
    result = score_infilling(
        [task],
        rival,
        view=view,
        has_memory=False,
        on_filled=lambda: None,
        on_judged=lambda: None,
    )
    return dict(result.rows[0])


needs_sandbox = pytest.mark.skipif(_LACK is not None, reason=f"no sandbox here: {_LACK}")


@needs_sandbox
@pytest.mark.parametrize(
    ("written", "passed", "exact", "passed_cut"),
    [
        ("    total += b\n", 1, 1, 1),
        ("    total = a + b\n", 1, 0, 1),
        ("    total += b\n    total += b\n", 0, 0, 1),
        ("    total += b", 0, 0, 0),
        ("total += b\n", 0, 0, 0),
        ("    total -= b\n", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_the_published_task(written: str, passed: int, exact: int, passed_cut: int) -> None:
    row = _score(_TASK, written, View.RAW)
    assert (row["passed"], row["exact"], row["passed_cut"]) == (passed, exact, passed_cut)


@needs_sandbox
@pytest.mark.parametrize("view", [View.OPEN, View.SHOWN, View.ASKED])
def test_on_an_open_line_the_line_end_is_there_already(view: View) -> None:
    written = "    total += b\n" * (2 if view is View.OPEN else 1)
    row = _score(_TASK, written, view)
    assert (row["passed"], row["exact"], row["n_filled_chars"]) == (1, 1, len("    total += b"))


@needs_sandbox
def test_closers_right_of_the_cursor_are_not_doubled() -> None:
    """The product keeps them from the model, which writes them again; what counts is the text."""
    row = _score(_SPAN, " + b)", View.RAW)
    assert (row["passed"], row["exact"]) == (1, 1)
    assert _score(_SPAN, " + b", View.RAW)["exact"] == 1


def test_a_hole_is_laid_out_without_losing_a_character() -> None:
    for task in (_TASK, _SPAN):
        whole = task["prompt"] + task["canonical_solution"] + task["suffix"]
        for lay_out in (hole_of, open_line_of):
            hole = lay_out(task, has_memory=True)
            assert hole.text == whole
            assert hole.memory_scope == task["task_id"]


def test_the_first_line_is_the_first_that_says_something() -> None:
    assert first_line(Filling(text="\n\n  a\nb\n")).text == "\n\n  a\n"
    assert first_line(Filling(text="  a")).text == "  a"


def test_files_are_read_as_published_and_others_refused(tmp_path: Path) -> None:
    line = json.dumps(_TASK, ensure_ascii=False).replace("total = a", "total = a\u2028") + "\n"
    packed = tmp_path / "tasks.jsonl.gz"
    packed.write_bytes(gzip.compress((line * 3).encode()))
    records = read_records(packed, REQUIRED)
    assert len(records) == 3
    assert choose_some(records, 2, seed=1) == records[:2]
    for written in (b"", b"{}\n", b"no json\n", b"\xff\xfe", b'{"prompt": 1}\n'):
        broken = tmp_path / "broken.jsonl"
        broken.write_bytes(written)
        with pytest.raises(FimbleError):
            read_records(broken, REQUIRED)
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(FimbleError):
        read_records(packed, REQUIRED)
