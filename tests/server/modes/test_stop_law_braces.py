"""The law of the stop rule between braces: the closing brace and siblings stay unwritten."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_sitter import Node

from fimble_server.completion.mode import Signals, decide
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.stopping import MiddleStop
from fimble_server.document.grammars import BRACKET_NODES, NODE_KINDS
from fimble_server.document.languages import BlockKind, language_for_path
from fimble_server.document.parsed import Parsed, parse
from fimble_server.document.syntax import inspect

_SAMPLES = sorted((Path(__file__).parents[2] / "golden" / "modes" / "samples").iterdir())
_N_CURSORS = 300
_CLAUSES = {"else_clause", "catch_clause", "finally_clause", "else"}


def _limits(node: Node, cursor: int) -> Iterator[int]:
    """Offsets that the kept text must not reach beyond, each with its reason in the tree."""
    children = node.children
    types = [child.type for child in children]
    is_block = "{" in types and types[-1] == "}" and node.type not in BRACKET_NODES
    if is_block and children[types.index("{")].end_byte <= cursor <= children[-1].start_byte:
        yield children[-1].start_byte
    for child in children if node.type != "let_declaration" else []:  # Its else is its own.
        if child.type in _CLAUSES and node.start_byte < cursor < child.start_byte:
            yield child.start_byte
    is_past_arm = node.type == "match_arm" and cursor >= node.end_byte
    if NODE_KINDS.get(node.type) is BlockKind.CASE and node.start_byte < cursor and not is_past_arm:
        following = node.next_named_sibling
        while following is not None and following.type.endswith("comment"):
            following = following.next_named_sibling
        if following is not None and NODE_KINDS.get(following.type) is BlockKind.CASE:
            yield following.start_byte


def allowed_end(parsed: Parsed, cursor: int) -> int:
    """How far the innermost block at a cursor reaches; the text is ASCII."""
    assert parsed.tree is not None
    ends = [len(parsed.text)]
    nodes = [parsed.tree.root_node]
    while nodes:
        node = nodes.pop()
        ends += _limits(node, cursor)
        nodes += [c for c in node.children if c.start_byte <= cursor <= c.end_byte]
    return min(ends)


def kept_end(parsed: Parsed, cursor: int, trigger: Trigger) -> int:
    """Where the kept text ends when the model writes what the file says."""
    facts = inspect(parsed, cursor)
    decision = decide(Signals(facts=facts, trigger=trigger))
    plan = plan_completion(decision, facts, Limits())
    assert isinstance(plan.stop, MiddleStop)
    return cursor + plan.stop.n_chars_at_end(parsed.text[cursor:], is_finished=False)


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("trigger", Trigger)
def test_nothing_is_kept_beyond_the_brace_or_the_clause(path: Path, trigger: Trigger) -> None:
    """Fed the file's own continuation, the rule stops before the brace and before siblings."""
    parsed = parse(language_for_path(path.name), path.read_text(encoding="ascii"))
    assert parsed.tree is not None
    assert not parsed.tree.root_node.has_error
    generator = random.Random(7)
    for cursor in generator.choices(range(len(parsed.text)), k=_N_CURSORS):
        kept = kept_end(parsed, cursor, trigger)
        text = parsed.text
        assert kept <= allowed_end(parsed, cursor), text[:cursor][-200:] + "<|>" + text[cursor:kept]
