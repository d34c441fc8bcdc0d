"""The law of acceleration over whole files: inside a block its siblings stay unwritten.

At a cursor the rest of the innermost block is taken out, or left in, and an engine is played that
knows the true continuation and runs on, into the rest of the file, a sibling clause, brackets or
rubbish. What is then shown must end with the block, and the file must parse no worse.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fimble_eval.law.block_ends import find_block_end
from fimble_eval.law.judging import Judge
from fimble_eval.law.verb import LanguageTally, judge_file
from fimble_server.document.languages import language_for_id, language_for_path
from fimble_server.document.parsed import parse

_SAMPLES = sorted((Path(__file__).parents[2] / "golden" / "modes" / "samples").iterdir())
_N_CURSORS = 12


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.name)
def test_siblings_stay_unwritten_and_the_file_parses(
    path: Path, request: pytest.FixtureRequest
) -> None:
    """At cursors all over the file; at every one of them with `--every-cursor`."""
    language, text = language_for_path(path.name), path.read_text(encoding="ascii")
    n_cursors = 0 if request.config.getoption("--every-cursor") else _N_CURSORS
    tally = LanguageTally()
    faults = judge_file(language, text, tally, n_cursors=n_cursors, without=frozenset())
    assert tally.n_asked > 0
    assert not faults, "\n\n".join(faults[:20])


def test_the_law_can_fail() -> None:
    """Without the steps that keep it, suggestions get through that it forbids."""
    path = next(path for path in _SAMPLES if path.suffix == ".lua")
    without = frozenset({"stop-rule", "unfinished-end"})
    judge = Judge(language_for_path(path.name), path.read_text("ascii"), without)
    faults = [fault for cursor in range(300, 800, 9) for fault in judge.judge_at(cursor)[1]]
    assert faults


def test_an_else_within_an_expression_ends_no_block() -> None:
    """The block of `a if b else c` goes on behind it."""
    text = "def f(b):\n    x = 1 if b else 2\n    return x\n"
    end = find_block_end(parse(language_for_id("python"), text), text.index("b else"))
    assert end is not None
    assert end.offset == len(text.rstrip())


def test_a_tally_is_written_as_json() -> None:
    tally = LanguageTally(n_files=1)
    tally.kinds.update(["invoked: parses worse: sibling"])
    written = json.loads(json.dumps(tally.to_json()))
    assert written["kinds"] == {"invoked: parses worse: sibling": 1}
    assert written["n_files"] == 1
