"""Laws of the fit: it finds what decides, says probabilities, and rules are judged alike."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from fimble_eval.replay.evidence import EVIDENCE_NAMES
from fimble_eval.replay.fit_verb import fit_confidence
from fimble_eval.replay.fitting import (
    Head,
    calibrate,
    fit_weights,
    heads_of,
    operate,
    pick_by_fit,
    pick_by_product,
)
from fimble_eval.replay.person import Policy
from fimble_eval.replay.samples import Sample, read_samples, write_samples
from fimble_server.errors import FimbleError


def _sample(rng: random.Random, package: str) -> Sample:
    """A cursor at which the model is right exactly as often as it says."""
    logprob = -rng.random() * 2
    is_right = rng.random() < 2.718281828 ** (3 * logprob)
    return Sample(
        package=package,
        language_id="python",
        mode="acceleration",
        rule="mid-line",
        reason="stop_rule",
        left="value = 1\nother = ",
        right="\n",
        kept="foo(a)",
        logprobs=(logprob,) * 3,
        char_ends=(3, 4, 6),
        truth="foo(a)" if is_right else "bar(b)",
    )


def _groups(n_samples: int, seed: int) -> list[tuple[Head, ...]]:
    rng = random.Random(seed)
    return [heads_of(_sample(rng, "one"), Policy.LINE) for _ in range(n_samples)]


def test_the_fit_says_the_truth_where_the_tokens_do() -> None:
    """What it calls likely comes true more often, on cursors it was not fitted on."""
    fit = fit_weights(_groups(400, seed=1))
    assert fit.weights["sum_logprob"] > 0
    said = calibrate(_groups(400, seed=2), fit, n_bins=4)
    shares = [came for _, came, n in said if n >= 20]
    assert shares == sorted(shares)
    assert all(abs(each - came) < 0.2 for each, came, n in said if n >= 40)


def test_a_higher_threshold_shows_less_and_saves_no_more() -> None:
    groups = _groups(200, seed=3)
    for choose in (pick_by_product, pick_by_fit(fit_weights(groups))):
        found = operate(groups, choose, (0.1, 0.4, 0.7))
        assert [each.shown for each in found] == sorted(
            (each.shown for each in found), reverse=True
        )
        assert all(each.kept <= each.shown for each in found)


def test_of_a_row_that_was_given_up_the_whole_is_no_choice() -> None:
    rng = random.Random(0)
    sample = _sample(rng, "one")
    whole = heads_of(sample, Policy.LINE)
    assert whole[0].n_chars == len(sample.kept)
    assert len(whole[0].numbers) == len(EVIDENCE_NAMES)


def test_samples_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    rng = random.Random(0)
    samples = tuple(_sample(rng, package) for package in ("one", "two"))
    write_samples(tmp_path / "a.jsonl", samples)
    assert read_samples([tmp_path / "a.jsonl"]) == samples
    (tmp_path / "b.jsonl").write_text('{"package": 1}\n', encoding="utf-8")
    with pytest.raises(FimbleError, match="collect"):
        read_samples([tmp_path / "b.jsonl"])


def test_the_verb_judges_by_other_packages_than_it_fits_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(5)
    path = tmp_path / "a.jsonl"
    write_samples(path, [_sample(rng, rng.choice(("one", "two"))) for _ in range(120)])
    fit_confidence([path], test=["two"], write=tmp_path / "weights.json", out=tmp_path)
    result = json.loads(capsys.readouterr().out)
    assert result["packages_fitted"] == ["one"]
    weights = json.loads((tmp_path / "weights.json").read_text(encoding="utf-8"))
    assert set(weights["weights"]) == set(EVIDENCE_NAMES)
    assert list(tmp_path.glob("confidence-*.png"))
    with pytest.raises(FimbleError, match="120 cursors to fit on, 0 to test on"):
        fit_confidence([path], test=["three"])
