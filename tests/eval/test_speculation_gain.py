"""The figures of speculation, from finishes that are known."""

from __future__ import annotations

import dataclasses

from fimble_eval.speculation_gain import summarise
from fimble_testing.fake_engine import finish_of


def test_passes_saved_are_told_apart_from_those_of_the_prompt() -> None:
    plain = dataclasses.replace(finish_of("x" * 13), n_passes=14, n_prefill_passes=2)
    fast = dataclasses.replace(
        finish_of("x" * 13),
        n_passes=5,
        n_prefill_passes=1,
        n_drafted_tokens=10,
        n_accepted_tokens=8,
    )
    report = summarise([(plain, fast)], model="fake")
    assert (report.n_plain_passes, report.n_passes) == (12, 4)
    assert report.pass_ratio == 3.0
    assert report.all_pass_ratio == round(14 / 6, 3)
    assert (report.n_drafted, report.n_accepted, report.n_same) == (10, 8, 1)
    other = dataclasses.replace(finish_of("y" * 13), n_passes=5)
    assert summarise([(plain, other)], model="fake").n_same == 0
