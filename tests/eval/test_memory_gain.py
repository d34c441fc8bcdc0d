"""What the memory is measured on and by: honest cases, and ways that are distributions."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.memory_gain import _pick_cases
from fimble_eval.memory_ways import KNOWS_MORE_NATS, WAYS, TrueEnd, bits_of, mix_in_all_ways
from fimble_model.engine.memory_index import Matches


@given(st.integers(0, 1_000), st.integers(1, 30))
def test_at_a_case_nothing_at_or_after_the_cursor_is_known(seed: int, n_cases: int) -> None:
    """What stands above ends before the cursor's line; the line and the middle come after it."""
    text = "\n".join(f"    value_{index} = compute({index}, '😀')" for index in range(20))
    for case in _pick_cases({"a.py": text}, random.Random(seed), n_cases):
        assert case.above == 0 or text[case.above - 1] == "\n"
        assert case.above <= case.cursor < case.line_end <= case.middle_end <= len(text)
        assert "\n" not in text[case.above : case.line_end]


def _judged(written: list[str], *, healed: str, best: list[str]) -> bool:
    """Whether a way that holds `best` most likely writes the end `)` after `healed`."""
    texts = ["", "pri", "print", "pr", "int", ")", ")\n", "\n", "x"]
    end = TrueEnd(
        [text.encode() for text in texts],
        [texts.index(text) for text in written],
        healed=healed,
        end="int)",
    )
    is_right = True
    for index, text in enumerate(best):
        logprobs_V = torch.full((len(texts),), -9.0)
        logprobs_V[texts.index("x")] = -2.0
        logprobs_V[texts.index(text)] = -1.0 if text != "x" else 0.0
        is_right = end.agrees(index, {"way": logprobs_V})["way"] and is_right
    return is_right


def test_an_end_is_exact_where_each_token_is_the_likeliest_that_spells_and_the_line_ends() -> None:
    assert _judged(["print", ")", "\n"], healed="pr", best=["print", ")", "\n"])
    assert _judged(["print", ")", "\n"], healed="pr", best=["print", ")", ")\n"]) is False
    assert _judged(["print", ")", "\n"], healed="pr", best=["pri", ")", "\n"]) is False
    assert _judged(["print", ")\n", "x"], healed="pr", best=["print", ")\n", "pri"])
    assert _judged(["print", ")", "x"], healed="pr", best=["print", ")", "x"]) is False


def test_stronger_networks_pay_less_and_every_way_is_a_distribution() -> None:
    plain_V = torch.randn(20, generator=torch.Generator().manual_seed(0)).log_softmax(dim=0)
    matches = Matches(
        np.array([7, 7, 8], np.int32), np.array([4, 3, 3], np.int32), np.zeros(3, np.int8)
    )
    ways = dict(mix_in_all_ways(plain_V, matches, np.array([0]), 7))
    assert set(WAYS) < set(ways)
    for mixed_V in ways.values():
        assert float(mixed_V.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    paid = [bits_of(ways[f"network that knows {nats:g} nats more"], 7) for nats in KNOWS_MORE_NATS]
    assert paid == sorted(paid, reverse=True)
    assert bits_of(ways["by confidence"], 7) < bits_of(plain_V, 7)
