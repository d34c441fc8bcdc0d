"""Laws of the trial: the faster way is found, kept, and left when it is the faster one no more."""

from __future__ import annotations

import random

import pytest

from fimble_model.engine.drafting_trial import DraftingTrial


def _share_drafting(trial: DraftingTrial, drafting_ms: float, plain_ms: float) -> float:
    chance = random.Random(0)
    n_drafting = 0
    for _ in range(320):
        drafts = trial.should_draft()
        n_drafting += drafts
        token_ms = (drafting_ms if drafts else plain_ms) * chance.uniform(0.7, 1.3)
        trial.note(has_drafted=drafts, n_tokens=6, ms=6 * token_ms)
    return n_drafting / 320


@pytest.mark.parametrize(("drafting_ms", "plain_ms", "pays"), [(1.0, 1.6, True), (1.6, 1.0, False)])
def test_nearly_all_rows_go_the_faster_way(drafting_ms: float, plain_ms: float, pays: bool) -> None:
    share = _share_drafting(DraftingTrial(), drafting_ms, plain_ms)
    assert share > 0.9 if pays else share < 0.1


def test_a_change_is_noticed() -> None:
    trial = DraftingTrial()
    assert _share_drafting(trial, 1.0, 2.0) > 0.9
    assert _share_drafting(trial, 3.0, 1.0) < 0.5
    assert _share_drafting(trial, 3.0, 1.0) < 0.1


def test_rows_without_a_second_token_teach_nothing() -> None:
    trial = DraftingTrial()
    for _ in range(40):
        trial.note(has_drafted=False, n_tokens=0, ms=5.0)
    assert [trial.should_draft() for _ in range(4)] == [True, False, True, False]
