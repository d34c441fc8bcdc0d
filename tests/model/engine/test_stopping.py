"""Laws of the ready-made stop rules, on the texts they are handed while a middle grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import StopRule
from fimble_model.engine.stopping import FirstOf, NeverStop, StopAfterLines, StopAtLineEnd


@pytest.mark.parametrize(
    ("rule", "grown", "kept"),
    [
        (StopAtLineEnd(), "a)\nb", "a)"),
        (StopAtLineEnd(), "a)\r\nb", "a)"),
        (StopAtLineEnd(), "\n    b", ""),
        (StopAfterLines(1), "a)\nb", "a)"),
        (StopAfterLines(1), "\n    b\n    c", "\n    b"),
        (StopAfterLines(2), "😀\n\n  \n    b\r\n    c", "😀\n\n  \n    b"),
        (FirstOf((StopAfterLines(2), StopAtLineEnd())), "a\nb\n", "a"),
    ],
)
def test_a_rule_keeps_the_text_before_its_end(rule: StopRule, grown: str, kept: str) -> None:
    n_kept = rule.n_chars_to_keep(grown)
    assert n_kept is not None
    assert grown[:n_kept] == kept


@pytest.mark.parametrize(
    "rule", [NeverStop(), StopAtLineEnd(), StopAfterLines(1), FirstOf((NeverStop(),)), FirstOf(())]
)
def test_no_rule_stops_before_a_line_ends(rule: StopRule) -> None:
    for middle in ("", "a", "    ", "a, b) \r"):
        assert rule.n_chars_to_keep(middle) is None


@given(st.text(st.sampled_from("a \n\r"), max_size=30), st.integers(1, 3))
def test_more_text_does_not_change_where_a_rule_stops(text: str, n_lines: int) -> None:
    """The engine may hand over several characters at once."""
    for rule in (StopAtLineEnd(), StopAfterLines(n_lines)):
        counts = [rule.n_chars_to_keep(text[:n_chars]) for n_chars in range(len(text) + 1)]
        stops = [count for count in counts if count is not None]
        assert len(set(stops)) <= 1
        assert all(0 <= count <= len(text) for count in stops)
