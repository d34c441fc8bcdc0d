"""A fit of confidence: whether more evidence than the tokens' probabilities tells what is kept.

Owns the fit and what it is judged by. Weights are fitted on some packages and judged on others;
the rule they serve is compared with the product of probabilities, at equal characters saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fimble_eval.replay.evidence import (
    EVIDENCE_NAMES,
    Evidence,
    gather_evidence,
    look_around,
)
from fimble_eval.replay.person import Policy, take
from fimble_eval.replay.samples import Sample
from fimble_server.completion.plan import Mode
from fimble_server.completion.sure_beginning import beginnings_of

__all__ = [
    "Choice",
    "Fit",
    "Head",
    "Operating",
    "calibrate",
    "fit_weights",
    "heads_of",
    "operate",
    "pick_by_fit",
    "pick_by_product",
]

_RIDGE = 3.0
_MOST_ROUNDS = 40
_SMALLEST_STEP = 1e-7
_EXPLORATION_SHARE = 1 / 3  # of the threshold, by the rule of products; see `completion.plan`

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A beginning that could be shown at a cursor, and what a person would take of it."""

    evidence: Evidence
    n_chars: int
    n_taken: int
    is_exploration: bool

    @property
    def numbers(self) -> tuple[float, ...]:
        """The evidence in the order of its names."""
        return tuple(float(getattr(self.evidence, name)) for name in EVIDENCE_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Weights on the evidence as it is, not as it was scaled for the fit."""

    bias: float
    weights: dict[str, float]

    def probability(self, head: Head) -> float:
        """That a person takes some of the head."""
        log_odds = self.bias + sum(
            self.weights[name] * value
            for name, value in zip(EVIDENCE_NAMES, head.numbers, strict=True)
        )
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operating:
    """What a rule would do at one threshold over all cursors."""

    threshold: float
    shown: int
    kept: int
    kept_share: float
    saved_chars: int
    vain_chars: int


Choice = Callable[[Sequence[Head], float], Head | None]


def heads_of(sample: Sample, policy: Policy) -> tuple[Head, ...]:
    """All that could be shown of one generation, the longest first."""
    mode = Mode(sample.mode)
    around = look_around(
        sample.page, sample.language_id, is_exploration=mode is Mode.EXPLORATION, rule=sample.rule
    )
    texts = [(text, False) for text in beginnings_of(sample.kept, mode)]
    if sample.kept.strip() and sample.reason != "given_up":
        texts.insert(0, (sample.kept, True))
    heads = []
    for text, is_whole in texts:
        evidence = gather_evidence(text, sample.tokens, around, is_whole=is_whole)
        heads.append(
            Head(
                evidence=evidence,
                n_chars=len(text),
                n_taken=take(text, sample.truth, policy).n_chars,
                is_exploration=mode is Mode.EXPLORATION,
            )
        )
    return tuple(heads)


def fit_weights(groups: Iterable[Sequence[Head]]) -> Fit:
    """Ridge logistic regression by iteratively reweighted least squares.

    The heads of one cursor share a weight of one, for they share a fate.
    """
    rows = [(head, 1.0 / len(heads)) for heads in groups for head in heads]
    x_raw = np.array([head.numbers for head, _ in rows], dtype=np.float64)
    y = np.array([head.n_taken > 0 for head, _ in rows], dtype=np.float64)
    share = np.array([weight for _, weight in rows], dtype=np.float64)
    mean, spread = x_raw.mean(axis=0), x_raw.std(axis=0) + 1e-9
    design = np.hstack([np.ones((len(rows), 1)), (x_raw - mean) / spread])
    solved = _solve(design, y, share)
    scaled = solved[1:] / spread
    bias = float(solved[0] - (scaled * mean).sum())
    return Fit(bias=bias, weights=dict(zip(EVIDENCE_NAMES, map(float, scaled), strict=True)))


def _solve(design: Array, y: Array, share: Array) -> Array:
    found: Array = np.zeros(design.shape[1])
    ridge = np.array([0.0, *[_RIDGE] * (design.shape[1] - 1)])
    for _ in range(_MOST_ROUNDS):
        p = 1.0 / (1.0 + np.exp(-design @ found))
        gradient = design.T @ (share * (p - y)) + ridge * found
        curvature = design.T @ (design * (share * p * (1.0 - p) + 1e-9)[:, None])
        step = np.linalg.solve(curvature + np.diag(ridge), gradient)
        found = found - step
        if float(np.abs(step).max()) < _SMALLEST_STEP:
            break
    return found


def pick_by_product(heads: Sequence[Head], threshold: float) -> Head | None:
    """The rule without a fit: the longest whose tokens are right together with the threshold."""
    for head in heads:
        least = threshold * (_EXPLORATION_SHARE if head.is_exploration else 1.0)
        if math.exp(head.evidence.sum_logprob) >= least:
            return head
    return None


def pick_by_fit(fit: Fit) -> Choice:
    """The rule with a fit: the longest that is kept with the threshold's probability."""

    def pick(heads: Sequence[Head], threshold: float) -> Head | None:
        return next((head for head in heads if fit.probability(head) >= threshold), None)

    return pick


def operate(
    groups: Sequence[Sequence[Head]], choose: Choice, thresholds: Iterable[float]
) -> tuple[Operating, ...]:
    """A rule at each of some thresholds."""
    return tuple(_operate_at(groups, choose, threshold) for threshold in thresholds)


def _operate_at(groups: Sequence[Sequence[Head]], choose: Choice, threshold: float) -> Operating:
    picked = [head for heads in groups if (head := choose(heads, threshold)) is not None]
    n_kept = sum(head.n_taken > 0 for head in picked)
    n_saved = sum(head.n_taken for head in picked)
    return Operating(
        threshold=threshold,
        shown=len(picked),
        kept=n_kept,
        kept_share=round(n_kept / max(1, len(picked)), 4),
        saved_chars=n_saved,
        vain_chars=sum(head.n_chars for head in picked) - n_saved,
    )


def calibrate(
    groups: Sequence[Sequence[Head]], fit: Fit, n_bins: int = 10
) -> tuple[tuple[float, float, int], ...]:
    """For each tenth of probability: what was said, what came true, of how many."""
    found = [(fit.probability(head), head.n_taken > 0) for heads in groups for head in heads]
    bins = []
    for index in range(n_bins):
        inside = [each for each in found if index / n_bins <= each[0] < (index + 1) / n_bins]
        if inside:
            said = sum(probability for probability, _ in inside) / len(inside)
            came = sum(is_kept for _, is_kept in inside) / len(inside)
            bins.append((round(said, 3), round(came, 3), len(inside)))
    return tuple(bins)
