"""The memory's word in the network's: still one distribution, and a surer memory weighs more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.memory_index import LEAST_ORDER, MOST_ORDER, N_LEVELS, Matches
from fimble_model.engine.memory_mixing import blend

N_IDS = 12
CONTROL_IDS = np.array([0, 3])
_pairs = st.lists(
    st.tuples(st.integers(4, N_IDS - 1), st.integers(LEAST_ORDER, MOST_ORDER)), min_size=1
)


def _matches(pairs: list[tuple[int, int]]) -> Matches:
    return Matches(
        np.array([token_id for token_id, _ in pairs], np.int32),
        np.array([n_equal for _, n_equal in pairs], np.int32),
        np.array([token_id % N_LEVELS for token_id, _ in pairs], np.int8),
    )


def _network(seed: int, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(N_IDS, generator=generator) * scale).log_softmax(dim=0)


@settings(deadline=None)
@given(_pairs, st.integers(0, 50), st.floats(0.1, 40.0))
def test_the_mix_is_a_distribution_and_leaves_ends_to_the_network(
    pairs: list[tuple[int, int]], seed: int, scale: float
) -> None:
    plain_V = _network(seed, scale)
    kept_V = plain_V.clone()
    mixed_V = blend(plain_V, _matches(pairs), CONTROL_IDS)
    assert float(mixed_V.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(mixed_V[CONTROL_IDS], plain_V[CONTROL_IDS])
    assert torch.equal(plain_V, kept_V)
    assert mixed_V.dtype == plain_V.dtype


@settings(deadline=None)
@given(_pairs, st.integers(0, 50))
def test_the_order_of_the_places_does_not_matter(pairs: list[tuple[int, int]], seed: int) -> None:
    plain_V = _network(seed)
    one = blend(plain_V, _matches(pairs), CONTROL_IDS)
    other = blend(plain_V, _matches(pairs[::-1]), CONTROL_IDS)
    assert torch.allclose(one, other, atol=1e-5)


def _p_after(pairs: list[tuple[int, int]]) -> float:
    """The token's probability where the middle does not end."""
    mixed_V = blend(_network(1), _matches(pairs), CONTROL_IDS).exp()
    return float(mixed_V[7] / (1.0 - mixed_V[CONTROL_IDS].sum()))


def test_a_surer_memory_weighs_more() -> None:
    once = _p_after([(7, 3)])
    assert _p_after([(7, 6)]) > once
    assert _p_after([(7, 3)] * 5) > once
    assert _p_after([(7, 3)] * 5 + [(8, 3)] * 5) < _p_after([(7, 3)] * 5)
    assert _p_after([(7, 7)] * 20) > 0.99


def test_the_surer_the_network_the_less_the_memory_weighs() -> None:
    """So the memory falls silent by itself beside a network that knows."""
    contrary = _matches([(7, 5)] * 4)
    shares: list[float] = []
    for scale in (0.0, 1.0, 2.0, 4.0, 8.0):
        sure_V = torch.zeros(N_IDS)
        sure_V[5] = scale
        plain_V = sure_V.log_softmax(dim=0)
        kept = blend(plain_V, contrary, CONTROL_IDS).exp()[5] / plain_V.exp()[5]
        shares.append(1.0 - float(kept))
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < shares[0] - 0.1
