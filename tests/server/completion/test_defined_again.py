"""What the file has already, word for word, is not offered once more."""

from __future__ import annotations

import pytest

from fimble_model.engine.protocol import FinishReason
from fimble_server.completion.cutting import Material, cut_middle
from fimble_server.completion.mode import Signals, decide
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits, plan_completion
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import inspect, parse
from fimble_testing.marked_text import snapshot_of

BODY = (
    "def k(a):\n    total = len(a)\n    smallest = abs(a)\n\n    a.sort()\n    name = 1\n"
    "    return name\n\n\n"
)
COPIED = "    total = len(a)\n    smallest = abs(a)\n\n    a.sort()\n    name = 1"
HEAD = "def f(a):\n    return a\n\n\nclass A:\n    def g(self):\n        return 1\n\n\n"


@pytest.mark.parametrize(
    ("left", "middle", "kept"),
    [
        ("<|>", "def f(a):\n    return a\n", ""),
        ("<|>", "def f(a, b):\n    return a\n", "def f(a, b):\n    return a"),
        ("de<|>", "f f(a):\n    return a\n", ""),
        ("<|>", "@cached\n@other\ndef f(a):\n    return a\n", ""),
        ("<|>", "class B(A):\n    def g(self):\n        return 2", None),
        ("<|>", "x = 1\n", "x = 1"),
        (BODY + "def h():\n    <|>", f"x = 1\n{COPIED}\n    return name", "x = 1"),
        (BODY + "def h():\n    <|>", f"x = 1\n{COPIED}\n    return total", None),
    ],
)
def test_what_is_defined_already_is_left_out(left: str, middle: str, kept: str | None) -> None:
    snapshot = snapshot_of(HEAD + left)
    page = page_of(snapshot)
    facts = inspect(parse(language_for_id("python"), page.text), page.cursor)
    limits = Limits(max_acceleration_lines=10)
    plan = plan_completion(decide(Signals(facts=facts)), facts, limits)
    material = Material(page=page, plan=plan, reason=FinishReason.END_TOKEN)
    assert cut_middle(middle, material).text == (middle.rstrip() if kept is None else kept)
