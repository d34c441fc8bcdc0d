"""Laws of drawing: the right distribution, from the row's own numbers alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from fimble_model.engine.healing import HealingLink, HealingPlan
from fimble_model.engine.protocol import Sampling, TokenId
from fimble_model.engine.sampling import (
    HealedDraw,
    Uniforms,
    draw,
    draw_healed,
    new_generator,
)
from fimble_model.errors import RequestError

LOGPROBS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
N_DRAWS = 4000


def _shares(logprobs: Tensor, sampling: Sampling) -> dict[int, float]:
    generator = new_generator(sampling)
    counts = Counter(draw(logprobs, sampling, generator) for _ in range(N_DRAWS))
    return {index: count / N_DRAWS for index, count in counts.items()}


def test_greedy_takes_the_likeliest() -> None:
    assert draw(LOGPROBS, Sampling(), new_generator(Sampling())) == 0


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.3, 0.15, 0.05]),
        (1.0, 0.79, [0.625, 0.375]),
        (1.0, 0.81, [0.526, 0.316, 0.158]),
        (1.0, 0.01, [1.0]),
        (0.5, 1.0, [0.685, 0.247, 0.062, 0.007]),
    ],
)
def test_draws_follow_temperature_and_top_p(
    temperature: float, top_p: float, expected: list[float]
) -> None:
    shares = _shares(LOGPROBS, Sampling(temperature=temperature, top_p=top_p, seed=3))
    assert set(shares) <= set(range(len(expected)))
    for index, share in enumerate(expected):
        assert shares.get(index, 0.0) == pytest.approx(share, abs=0.03)


def test_a_seed_gives_the_same_draws_again() -> None:
    def drawn(seed: int) -> list[int]:
        sampling = Sampling(temperature=1.0, seed=seed)
        generator = new_generator(sampling)
        return [draw(LOGPROBS, sampling, generator) for _ in range(20)]

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(-1.0, 1.0), (math.nan, 1.0), (1.0, 0.0), (1.0, 1.5)]
)
def test_impossible_sampling_is_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(RequestError):
        Sampling(temperature=temperature, top_p=top_p)


# Tokens: 0 covers all, 1 covers all, 2 and 3 are the chain, 4 covers what is left after 2.
SORTED_IDS = torch.tensor([0, 1, 4, 3, 2])
PLAN = HealingPlan(
    chain=(TokenId(2), TokenId(3)),
    links=(
        HealingLink(covering=range(2), next_id=TokenId(2)),
        HealingLink(covering=range(2, 4), next_id=TokenId(3), next_is_covering=True),
    ),
    n_text_bytes=2,
)
HEALING_LOGPROBS = torch.tensor(
    [
        [0.10, 0.05, 0.50, 0.15, 0.20],
        [0.20, 0.20, 0.10, 0.10, 0.40],
        [0.20, 0.60, 0.10, 0.05, 0.05],
    ]
).log()


def _expected_draws() -> dict[HealedDraw, float]:
    """By the definition: each way's probability, over the probability of the text."""
    ways = {
        (0, 0): 0.10,
        (0, 1): 0.05,
        (1, 4): 0.50 * 0.40,
        **{(2, token): 0.50 * 0.10 * p for token, p in enumerate((0.2, 0.6, 0.1, 0.05, 0.05))},
    }
    total = sum(ways.values())
    return {
        HealedDraw(n_chain, TokenId(token), math.log(p / total)): p / total
        for (n_chain, token), p in ways.items()
    }


def test_healing_draws_from_the_exact_distribution_given_the_text() -> None:
    sampling = Sampling(temperature=1.0, seed=5)
    generator = new_generator(sampling)
    counts: Counter[tuple[int, int]] = Counter()
    logprobs: dict[tuple[int, int], float] = {}
    for _ in range(N_DRAWS):
        drawn = draw_healed(PLAN, HEALING_LOGPROBS, SORTED_IDS, sampling, generator)
        counts[drawn.n_chain_tokens, drawn.token_id] += 1
        logprobs[drawn.n_chain_tokens, drawn.token_id] = drawn.logprob
    for expected, share in _expected_draws().items():
        way = (expected.n_chain_tokens, expected.token_id)
        assert counts[way] / N_DRAWS == pytest.approx(share, abs=0.03)
        if way in logprobs:
            assert logprobs[way] == pytest.approx(expected.logprob, abs=1e-4)


def test_greedy_healing_weighs_a_chain_by_what_it_can_still_spell() -> None:
    """Token 2 is the likeliest, and yet after it the rest is hardly ever spelled."""
    logprobs = HEALING_LOGPROBS.clone()
    logprobs[1] = torch.tensor([0.49, 0.49, 0.01, 0.005, 0.005]).log()
    drawn = draw_healed(PLAN, logprobs, SORTED_IDS, Sampling(), None)
    assert (drawn.n_chain_tokens, drawn.token_id) == (0, 0)


def test_a_chain_that_ends_short_leaves_by_a_covering_token() -> None:
    plan = HealingPlan(
        chain=(TokenId(2),),
        links=(
            HealingLink(covering=range(0), next_id=TokenId(2)),
            HealingLink(covering=range(2, 4), next_id=None),
        ),
        n_text_bytes=2,
    )
    drawn = draw_healed(plan, HEALING_LOGPROBS[:2], SORTED_IDS, Sampling(), None)
    assert (drawn.n_chain_tokens, drawn.token_id) == (1, 4)
    assert drawn.logprob == pytest.approx(math.log(0.4 / 0.5), abs=1e-4)


def test_the_next_draw_has_the_next_number_however_far_ahead_one_looked() -> None:
    """Drafts that prove wrong cost no number, so that speculative equals plain."""
    sampling = Sampling(temperature=1.0, seed=5)
    generators = [new_generator(sampling) for _ in range(2)]
    plain, looking = (Uniforms(generator) for generator in generators if generator is not None)
    expected: list[float] = []
    found: list[float] = []
    for n_spent in (1, 3, 2, 1, 17, 4):
        for _ in range(n_spent):
            expected.append(plain.peek(1)[0])
            plain.spend(1)
        found += looking.peek(17)[:n_spent]
        looking.spend(n_spent)
    assert found == expected
