"""The marked cases of `eval/cases`: mode, rule and extent at a cursor."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble_eval.cases import Case, cases_folder, judge, plan_of, read_cases
from fimble_server.errors import FimbleError

CASES = read_cases(cases_folder())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_case_comes_out_as_written(case: Case) -> None:
    """Mode, rule and kept text are what the file says."""
    judged = judge(case)
    assert judged.found.splitlines() == case.expected.splitlines(), case.marked


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_cut_holds_as_the_middle_grows(case: Case) -> None:
    """Fed character by character, the rule cuts once and for all where it cuts the whole."""
    stop = plan_of(case).stop
    cuts = [stop.n_chars_to_keep(case.middle[:end]) for end in range(len(case.middle) + 1)]
    known = [cut for cut in cuts if cut is not None]
    assert len(set(known)) <= 1
    assert cuts[len(cuts) - len(known) :] == known
    assert cuts[-1] == plan_of(case).stop.n_chars_to_keep(case.middle)


def test_there_are_enough_cases() -> None:
    """At least 200 cases in at least 12 languages, no two of one name in a language."""
    assert len(CASES) >= 200
    assert len({case.language_id for case in CASES}) >= 12
    assert len({case.title for case in CASES}) == len(CASES)


@pytest.mark.parametrize("text", ["", "=== a name\nno cursor\n--- middle\n--- x y\n"])
def test_a_broken_case_is_refused_in_plain_words(tmp_path: Path, text: str) -> None:
    """An empty folder, or a block without its parts, says what is wrong and what to do."""
    (tmp_path / "python.txt").write_text(text, encoding="utf-8")
    with pytest.raises(FimbleError, match="Expected"):
        read_cases(tmp_path)
