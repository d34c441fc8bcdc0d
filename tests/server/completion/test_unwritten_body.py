"""A body that was to be written is not offered closed and empty."""

from __future__ import annotations

import pytest

from fimble_server.completion.mode import Signals, decide
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.postprocess import process
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import inspect, parse
from fimble_testing.fake_engine import finish_of
from fimble_testing.marked_text import snapshot_of


@pytest.mark.parametrize(
    ("language_id", "marked", "middle", "trigger", "is_shown"),
    [
        ("rust", "struct Item {<|>", "}", Trigger.AUTOMATIC, False),
        ("rust", "struct Item {<|>", "}", Trigger.INVOKED, True),
        ("rust", "struct Item {<|>", "\n    name: String,\n}", Trigger.AUTOMATIC, True),
        ("javascript", "const items = {<|>", "}", Trigger.AUTOMATIC, True),
        ("python", "class Item:\n    <|>", '"""', Trigger.AUTOMATIC, False),
        ("python", "total = add(<|>", ")", Trigger.AUTOMATIC, True),
    ],
)
def test_only_closers_are_no_body(
    language_id: str, marked: str, middle: str, trigger: Trigger, is_shown: bool
) -> None:
    page = page_of(snapshot_of(marked, language_id=language_id))
    facts = inspect(parse(language_for_id(language_id), page.text), page.cursor)
    plan = plan_completion(decide(Signals(facts=facts, trigger=trigger)), facts, Limits())
    drafts = process([finish_of(middle)], page, plan)
    assert [draft.text for draft in drafts.shown] == ([middle] if is_shown else [])
    if not is_shown:
        assert drafts.hidden[0].reason == "closes a body without writing it"
