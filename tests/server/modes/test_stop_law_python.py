"""The law of the stop rule over real Python: the block's end and its siblings stay unwritten."""

from __future__ import annotations

import ast
import importlib.util
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimble_server.completion.mode import Signals, decide
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.stopping import MiddleStop
from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import Parsed, parse
from fimble_server.document.syntax import inspect

_MODULES = (
    *("argparse", "configparser", "heapq", "json.decoder", "logging.handlers"),
    *("shutil", "subprocess", "tarfile", "textwrap", "zipfile"),
)
_N_CURSORS = 120
_MAX_MIDDLE_CHARS = 4_000

_Part = tuple[int, int]


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _bodies(node: ast.AST) -> list[list[ast.stmt]]:
    """The parts of a compound statement in the order of the text."""
    bodies = [getattr(node, "body", [])]
    for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        bodies.append(handler.body)
    bodies += [getattr(node, "orelse", []), getattr(node, "finalbody", [])]
    return [body for body in bodies if body and isinstance(body[0], ast.stmt)]


def _offsets(text: str) -> list[int]:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _parts(text: str) -> list[_Part]:
    """Where each part of each `if`, loop, `try`, `with` and `match` starts and ends."""
    starts = _offsets(text)

    def offset(line: int, n_bytes: int) -> int:
        raw = text[starts[line - 1] : starts[line]].encode()
        return starts[line - 1] + len(raw[:n_bytes].decode())

    parts = []
    compound = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, compound):
            continue
        start = offset(node.lineno, node.col_offset)
        for body in _bodies(node):
            first, last = body[0], body[-1]
            assert last.end_lineno is not None
            assert last.end_col_offset is not None
            end = offset(last.end_lineno, last.end_col_offset)
            column = first.col_offset if first.lineno != node.lineno else node.col_offset + 1
            parts.append((start, _with_comments(text, end, column)))
            start = parts[-1][1] + 1
    return parts


def _with_comments(text: str, end: int, column: int) -> int:
    """The end of a body whose last lines are comments, and those after its last statement."""
    end = text.find("\n", end) if "\n" in text[end:] else len(text)
    position = end
    while position < len(text):
        line_end = text.find("\n", position + 1)
        line_end = len(text) if line_end == -1 else line_end
        line = text[position + 1 : line_end]
        indent = len(line) - len(line.lstrip())
        if line.strip() and not (line.lstrip().startswith("#") and indent >= column):
            break
        position = line_end
        if line.strip():
            end = line_end
        if position >= len(text):
            break
    return end


def _cursors(text: str, parts: list[_Part], seed: int) -> Iterator[tuple[int, int]]:
    """Some cursors inside of parts, each with the end of the innermost part that holds it."""
    generator = random.Random(seed)
    for _ in range(_N_CURSORS):
        start, end = generator.choice(parts)
        cursor = generator.randint(start, end)
        holding = [part for part in parts if part[0] <= cursor <= part[1]]
        yield cursor, min(part_end for _, part_end in holding)


def kept_end(parsed: Parsed, cursor: int, trigger: Trigger) -> int:
    """Where the kept text ends when the model writes what the file says."""
    facts = inspect(parsed, cursor)
    decision = decide(Signals(facts=facts, trigger=trigger))
    plan = plan_completion(decision, facts, Limits())
    middle = parsed.text[cursor : cursor + _MAX_MIDDLE_CHARS]
    assert isinstance(plan.stop, MiddleStop)
    return cursor + plan.stop.n_chars_at_end(middle, is_finished=False)


@pytest.mark.parametrize("module", _MODULES)
@pytest.mark.parametrize("trigger", Trigger)
def test_nothing_is_kept_beyond_the_block_at_the_cursor(module: str, trigger: Trigger) -> None:
    """Fed the file's own continuation, the rule stops at the end of the block, before siblings."""
    text = _source(module)
    parsed = parse(language_for_id("python"), text)
    parts = _parts(text)
    for cursor, end in _cursors(text, parts, seed=len(text)):
        kept = kept_end(parsed, cursor, trigger)
        assert kept <= end, text[cursor - 200 : cursor] + "<|>" + text[cursor:kept]
