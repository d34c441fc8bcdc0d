"""Marked cases: at this cursor that mode by that rule, and of a long middle this much is kept.

A case in `tests/golden/modes/cases` is a name (with the trigger, the last edit or the language in
braces), the marked text, a long middle, and what is expected: mode, rule, `unwanted` where
nothing is shown, and the text that is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from fimble_server.completion.mode import LastEdit, Signals, decide
from fimble_server.completion.plan import Limits, Plan, Trigger, plan_completion
from fimble_server.completion.stopping import MiddleStop
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import inspect, parse

_FOLDER = Path(__file__).parents[2] / "golden" / "modes" / "cases"
_CURSOR = "<|>"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case as it stands in the file."""

    file_name: str
    name: str
    marked: str
    middle: str
    expected: str


def read_cases(path: Path) -> list[Case]:
    """The cases of one file."""
    cases = []
    for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        marked, _, rest = rest.partition("\n--- middle\n")
        middle, _, expected = rest.partition("\n--- ")
        cases.append(
            Case(
                file_name=path.stem,
                name=name,
                marked=marked,
                middle=middle,
                expected=expected.removesuffix("\n"),
            )
        )
    return cases


CASES = [case for path in sorted(_FOLDER.iterdir()) for case in read_cases(path)]


def _plan(case: Case) -> Plan:
    options = dict.fromkeys(re.findall(r"\{(.*)\}$", case.name), "")
    option = next(iter(options), "")
    language_id = option.removeprefix("language ") if "language" in option else case.file_name
    cursor = case.marked.index(_CURSOR)
    text = case.marked.replace(_CURSOR, "")
    facts = inspect(parse(language_for_id(language_id), text), cursor)
    edits = {edit.value: edit for edit in LastEdit}
    signals = Signals(
        facts=facts,
        trigger=Trigger.INVOKED if option == "invoked" else Trigger.AUTOMATIC,
        last_edit=edits.get(option, LastEdit.INSERT),
    )
    return plan_completion(decide(signals), facts, Limits())


def outcome(case: Case) -> str:
    """What the code says: mode and rule on the first line, the kept text below."""
    plan = _plan(case)
    assert isinstance(plan.stop, MiddleStop)
    n_kept = plan.stop.n_chars_at_end(case.middle, is_finished=True)
    unwanted = "" if plan.wanted else " unwanted"
    return f"{plan.mode.value} {plan.rule}{unwanted}\n{case.middle[:n_kept]}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file_name}: {case.name}")
def test_the_case_comes_out_as_written(case: Case) -> None:
    """Mode, rule and kept text are what the golden file says."""
    assert outcome(case).splitlines() == case.expected.splitlines(), case.marked


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file_name}: {case.name}")
def test_a_cut_holds_as_the_middle_grows(case: Case) -> None:
    """Fed character by character, the rule cuts once and for all where it cuts the whole."""
    stop = _plan(case).stop
    cuts = [stop.n_chars_to_keep(case.middle[:end]) for end in range(len(case.middle) + 1)]
    known = [cut for cut in cuts if cut is not None]
    assert len(set(known)) <= 1
    assert cuts[len(cuts) - len(known) :] == known
    assert cuts[-1] == _plan(case).stop.n_chars_to_keep(case.middle)


def test_there_are_enough_cases() -> None:
    """The golden files hold at least 80 cases, no two of one name in a file."""
    assert len(CASES) >= 80
    assert len({(case.file_name, case.name) for case in CASES}) == len(CASES)
