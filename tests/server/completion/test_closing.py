"""What a cut has left open is closed, or goes."""

from __future__ import annotations

import pytest

from fimble_server.completion.closing import close_own_blocks
from fimble_server.completion.stopping import Extent, build_stop
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import inspect, parse


def closed(language_id: str, marked: str, middle: str, max_lines: int = 9) -> str:
    """The middle as it is shown at a marked cursor."""
    left, right = marked.split("<|>")
    facts = inspect(parse(language_for_id(language_id), left + right), len(left))
    stop = build_stop(facts, Extent.BLOCK, max_lines)
    return close_own_blocks(middle, stop.boundary, facts.line_left, max_lines)


@pytest.mark.parametrize(
    ("language_id", "middle", "expected"),
    [
        (
            "javascript",
            "for (const a of b) {\n    use(a);",
            "for (const a of b) {\n    use(a);\n  }",
        ),
        ("javascript", "b.map((a) => {\n    use(a);", "b.map((a) => {\n    use(a);\n  })"),
        ("java", "b.each(a -> {\n    use(a);", "b.each(a -> {\n    use(a);\n  });"),
        ("go", "if a {\n    b()\n    if c {", "if a {\n    b()\n  }"),
        ("lua", "if a then\n    b()", "if a then\n    b()\n  end"),
        ("shellscript", "for a in b; do\n    c", "for a in b; do\n    c\n  done"),
        ("shellscript", "for a in b; do\n    c \\\n      --d \\", ""),
        ("python", "a = [\n    1,\n    2,", "a = [\n    1,\n    2,\n  ]"),
        ("java", "a();\n  b(c,", "a();"),
        ("javascript", "try {\n    a();", ""),
        ("java", "int f()\n  {\n", ""),
        ("javascript", "a(b);", "a(b);"),
    ],
)
def test_own_blocks_are_closed_or_left_out(language_id: str, middle: str, expected: str) -> None:
    """A block gets its end on its header's column; what cannot be closed soundly is not shown."""
    assert closed(language_id, "  <|>\n", middle) == expected


def test_the_end_counts_as_a_line() -> None:
    """No more lines are shown than the plan allows, closers included."""
    middle = "for (const a of b) {\n    one();\n    two();\n    three();"
    shown = closed("javascript", "  <|>\n", middle, max_lines=4)
    assert shown == "for (const a of b) {\n    one();\n    two();\n  }"


def test_a_begun_header_keeps_its_brace_where_the_body_stands_below() -> None:
    """`if (a<|>` above a body that is closed gets ` {`; without one the user opens it."""
    assert closed("c", "if (a<|>\n  b();\n}\n", " > 1) {") == " > 1) {"
    assert closed("c", "if (a<|>\n", " > 1) {") == " > 1)"
