"""The worst suggestions of an hour of typing in an editor are not shown again."""

from __future__ import annotations

import pytest

from fimble_server.completion.mode import Signals, decide
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.postprocess import Drafts, process
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import SyntaxFacts, inspect, parse
from fimble_testing.fake_engine import finish_of
from fimble_testing.marked_text import snapshot_of

_IMPORTS = "from ._auth import A<|>\nfrom ._config import B\n"
_BRACKETS = "from a import (\n    FIRST,\n    <|>\n)\n"
_CALL = "def send(\n        self,\n        <|>\n):\n    pass\n"


@pytest.mark.parametrize(
    ("language_id", "marked", "middle"),
    [
        ("python", "import enu<|>\n", "m"),
        ("python", "class A:\n    <|>\n", '""'),
        ("rust", "fn main() {\n    le<|>\n}\n", "t"),
    ],
)
def test_one_character_is_not_worth_a_look(language_id: str, marked: str, middle: str) -> None:
    drafts = _process(marked, middle, language_id)
    assert not drafts.shown
    assert _process(marked, middle, language_id, trigger=Trigger.INVOKED).shown or '"' in middle


@pytest.mark.parametrize(
    ("marked", "middle"),
    [
        ("total = add(a<|>\n", ")"),
        ("if is_right(a<|>\n", "):"),
        ("import enu<|>\n", "meration"),
        ("x = fo<|>\n", "ur"),
    ],
)
def test_what_closes_brackets_and_what_is_longer_is(marked: str, middle: str) -> None:
    assert [draft.text for draft in _process(marked, middle).shown] == [middle]


@pytest.mark.parametrize(
    ("language_id", "marked", "middle"),
    [
        ("python", _BRACKETS, "    event_hooks,"),
        ("python", "def f():\n    # Unopened:\n    <|>\n", "    message = 1"),
        ("python", _CALL, "    other,"),
        ("typescript", "class A {\n  a = 1;\n  <|>\n}\n", "  b = 2;"),
        ("go", "func f() {\n\tx := 1\n\t<|>\n}\n", "\ty := 2"),
    ],
)
def test_nothing_is_offered_deeper_than_the_line_above_allows(
    language_id: str, marked: str, middle: str
) -> None:
    drafts = _process(marked, middle, language_id)
    assert [hidden.step for hidden in drafts.hidden] == ["too-deep"]


@pytest.mark.parametrize(
    ("language_id", "marked", "middle"),
    [
        ("python", "if ready:\n<|>\n", "    start()"),
        ("python", "def f():\n    x = 1\n<|>\n", "    y = 2"),
        ("python", "def f():\n    x = 1\n  <|>\n", "  y = 2"),
        ("python", "total = add(\n<|>\n)\n", "    first,"),
        ("javascript", "const a = items\n<|>\n", "  .map(run)"),
        ("python", "total = first + \\\n<|>\n", "    second"),
        ("go", "func f() {\n<|>\n}\n", "\tx := 1"),
    ],
)
def test_below_what_opens_something_it_may_be_deeper(
    language_id: str, marked: str, middle: str
) -> None:
    assert _process(marked, middle, language_id).shown


@pytest.mark.parametrize(
    ("language_id", "marked", "middle", "kept"),
    [
        ("python", _IMPORTS, "uth, BasicAuth  # noqa: F401", "uth, BasicAuth"),
        ("python", "import ssl<|>\n", "  # pragma: no cover", None),
        ("javascript", "run()<|>\n", "; // eslint-disable-line no-alert", None),
        ("go", "\trun(first<|>\n", ", second) //nolint:errcheck", ", second)"),
        ("python", "import ssl  # no<|>\n", "qa: F401", "qa: F401"),
        ("python", "x = 1  # the<|>\n", " first of all", " first of all"),
    ],
)
def test_to_look_away_is_for_the_programmer_to_say(
    language_id: str, marked: str, middle: str, kept: str | None
) -> None:
    shown = [draft.text for draft in _process(marked, middle, language_id).shown]
    assert shown == ([] if kept is None else [kept])


def test_in_prose_a_guess_must_be_surer() -> None:
    plans = [
        plan_completion(decide(Signals(facts=facts, trigger=Trigger.AUTOMATIC)), facts, Limits())
        for facts in (
            _facts("x = 1\n# it is <|>\n"),
            _facts("def f():\n    '''It is <|>\n    '''\n"),
        )
    ]
    code = _facts("x = <|>\n")
    plan = plan_completion(decide(Signals(facts=code, trigger=Trigger.AUTOMATIC)), code, Limits())
    assert all(each.min_confidence > plan.min_confidence for each in plans)


def _facts(marked: str, language_id: str = "python") -> SyntaxFacts:
    page = page_of(snapshot_of(marked, language_id=language_id))
    return inspect(parse(language_for_id(language_id), page.text), page.cursor)


def _process(
    marked: str,
    middle: str,
    language_id: str = "python",
    *,
    trigger: Trigger = Trigger.AUTOMATIC,
) -> Drafts:
    page = page_of(snapshot_of(marked, language_id=language_id))
    facts = _facts(marked, language_id)
    plan = plan_completion(decide(Signals(facts=facts, trigger=trigger)), facts, Limits())
    return process([finish_of(middle)], page, plan)
