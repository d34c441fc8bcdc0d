"""Marked cases: at this cursor that mode by that rule, and of a long middle this much is kept.

Owns the format of `eval/cases/` and what the code says of a case. A file is named after a
language and holds blocks of

    === a name {options}
    the text with its cursor <|>
    --- middle
    a middle that runs on too far
    --- mode rule
    what is kept of it

`options` are separated by commas: `invoked`, an edit such as `delete`, a rhythm such as `pause`,
a verdict such as `rejected`, `selected`, `length line`, `language ID`. After the rule `unwanted`
says that nothing is shown there; the rest of the block is then nobody's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fimble_server.completion.mode import decide
from fimble_server.completion.plan import Length, Limits, Plan, Trigger, plan_completion
from fimble_server.completion.signals import LastEdit, LastVerdict, Rhythm, Signals
from fimble_server.completion.stopping import MiddleStop
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import inspect, parse
from fimble_server.errors import FimbleError

__all__ = ["Case", "Judged", "cases_folder", "judge", "plan_of", "read_cases", "tally"]

_CURSOR = "<|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case as it stands in its file. `expected` is the mode's line and the kept text."""

    language_id: str
    name: str
    options: tuple[str, ...]
    marked: str
    middle: str
    expected: str

    @property
    def title(self) -> str:
        """What a report calls it."""
        return f"{self.language_id}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came out, in the form of `Case.expected`."""

    case: Case
    found: str

    @property
    def passes(self) -> bool:
        """True where it is what the case says; line ends at the very end do not count."""
        return self.found.splitlines() == self.case.expected.splitlines()


def cases_folder() -> Path:
    """The folder of the source tree; where only the package is installed there is none."""
    return Path(__file__).parents[1] / "cases"


def read_cases(folder: Path) -> tuple[Case, ...]:
    """All cases of a folder's `.txt` files. Raises `FimbleError` where there are none."""
    paths = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    cases = tuple(case for path in paths for case in _read_file(path))
    if not cases:
        raise FimbleError(
            expected="a folder of case files such as eval/cases",
            found=f"none in {folder}",
            to_do="Name the folder: fimble-eval cases DIR.",
        )
    return cases


def _read_file(path: Path) -> list[Case]:
    text = path.read_text(encoding="utf-8")
    return [_read_case(block, path) for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]]


def _read_case(block: str, path: Path) -> Case:
    title, _, rest = block.partition("\n")
    name, _, braced = title.partition(" {")
    marked, has_middle, rest = rest.partition("\n--- middle\n")
    middle, has_expected, expected = rest.partition("--- ")
    if not (has_middle and has_expected) or marked.count(_CURSOR) != 1:
        raise FimbleError(
            expected="a text with one <|>, `--- middle` and `--- mode rule`",
            found=f"something else in {path.name} under {name!r}",
            to_do="See the head of eval/fimble_eval/cases.py for the format.",
        )
    options = tuple(option.strip() for option in braced.rstrip("}").split(",") if option)
    languages = [o.removeprefix("language ") for o in options if o.startswith("language ")]
    return Case(
        language_id=languages[0] if languages else path.stem,
        name=name,
        options=options,
        marked=marked,
        middle=middle.removesuffix("\n"),
        expected=expected.removesuffix("\n"),
    )


def _choices(*values: LastEdit | LastVerdict | Rhythm | Trigger) -> Mapping[str, object]:
    return {value.value: value for value in values}


_SIGNALS: Mapping[str, Mapping[str, object]] = {
    "trigger": _choices(*Trigger),
    "last_edit": _choices(*LastEdit),
    "last_verdict": _choices(*LastVerdict),
    "rhythm": _choices(*Rhythm),
    "has_selection": {"selected": True},
}


def plan_of(case: Case) -> Plan:
    """The plan at the case's cursor, with its options and the default dials."""
    cursor = case.marked.index(_CURSOR)
    text = case.marked.replace(_CURSOR, "")
    facts = inspect(parse(language_for_id(case.language_id), text), cursor)
    signals: dict[str, object] = {"last_edit": LastEdit.INSERT}
    limits = Limits()
    for option in case.options:
        if option.startswith("length "):
            limits = Limits(length=Length(option.removeprefix("length ")))
            continue
        for name, choices in _SIGNALS.items():
            if option in choices and option != "none":
                signals[name] = choices[option]
    decision = decide(Signals(facts=facts, **signals))  # type: ignore[arg-type]  # by the table
    return plan_completion(decision, facts, limits)


def judge(case: Case) -> Judged:
    """Decide, and cut the case's middle by the stop rule that the plan says."""
    plan = plan_of(case)
    assert isinstance(plan.stop, MiddleStop)
    n_kept = plan.stop.n_chars_at_end(case.middle, is_finished=True)
    unwanted = "" if plan.wanted else " unwanted"
    kept = case.middle[:n_kept] if plan.wanted else ""
    return Judged(case=case, found=f"{plan.mode.value} {plan.rule}{unwanted}\n{kept}")


def tally(judged: Iterable[Judged], key: Callable[[Judged], str]) -> list[tuple[str, int, int]]:
    """For each key how many cases there are, and how many of them pass; by key."""
    judged = list(judged)
    n_all = Counter(map(key, judged))
    n_passed = Counter(key(each) for each in judged if each.passes)
    return [(name, n_all[name], n_passed[name]) for name in sorted(n_all)]
