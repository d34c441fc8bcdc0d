"""A token's numbers depend on its own row alone: bit for bit in int8, to rounding in float32."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fimble_model.network.architecture import (
    Activation,
    Experts,
    NormKind,
    Positions,
    Residual,
)
from fimble_model.network.attention import DenseCausal, attend_cached
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement, has_fbgemm
from fimble_model.network.quantization import Int8Linear, largest_weight_level
from fimble_model.network.tiles import BLOCK_SLOTS
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network
from fimble_testing.ragged_rows import CachedRow, run_rows

pytestmark = pytest.mark.skipif(not has_fbgemm(), reason="int8 needs FBGEMM")

SHAPES = {
    "round": NetworkConfig(
        n_layers=2,
        width=64,
        n_query_heads=4,
        n_key_heads=2,
        head_size=16,
        feed_forward_width=128,
        vocabulary_size=256,
        max_positions=320,
        qk_norm=True,
    ),
    "odd": NetworkConfig(
        n_layers=2,
        width=72,
        n_query_heads=6,
        n_key_heads=2,
        head_size=24,
        feed_forward_width=100,
        vocabulary_size=301,
        max_positions=320,
        tied_embeddings=False,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
    ),
    "wide groups": NetworkConfig(
        n_layers=2,
        width=48,
        n_query_heads=12,
        n_key_heads=1,
        head_size=8,
        feed_forward_width=96,
        vocabulary_size=256,
        max_positions=320,
    ),
    "a window, a part of each head turned": NetworkConfig(
        n_layers=2,
        width=64,
        n_query_heads=4,
        n_key_heads=2,
        head_size=16,
        feed_forward_width=128,
        vocabulary_size=256,
        max_positions=320,
        rotary_size=8,
        window=70,
        full_layers=frozenset({1}),
        norm=NormKind.LAYER,
        gated=False,
        activation=Activation.GELU_TANH,
        residual=Residual.PARALLEL,
    ),
    "experts, learned positions": NetworkConfig(
        n_layers=2,
        width=64,
        n_query_heads=4,
        n_key_heads=1,
        head_size=16,
        feed_forward_width=128,
        vocabulary_size=256,
        max_positions=320,
        positions=Positions.LEARNED,
        norm_offset=1.0,
        embedding_multiplier=8.0,
        attention_scale=0.3,
        logits_divisor=2.0,
        experts=Experts(
            n_experts=6, n_chosen=2, width=32, normalises=True, dense_layers=frozenset({1})
        ),
    ),
}
N_SLOTS = 320


@pytest.fixture(autouse=True, params=[1, 2], ids=["1 thread", "2 threads"])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The laws hold however an operation is shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=SHAPES)
def network(request: pytest.FixtureRequest, n_threads: int) -> Transformer:
    """A random network with int8 weights."""
    placement = Placement(device="cpu", dtype=Dtype.INT8, n_threads=n_threads)
    return random_network(SHAPES[request.param], placement, seed=3)


def _token_ids(seed: int, n_tokens: int) -> Tensor:
    return torch.randint(0, 256, (n_tokens,), generator=torch.Generator().manual_seed(seed))


def _run_in_pieces(network: Transformer, token_ids: Tensor, sizes: list[int]) -> Tensor:
    row = CachedRow(network.config, N_SLOTS)
    pieces = torch.split(token_ids, sizes)
    return torch.cat([run_rows(network, [row], [piece])[0] for piece in pieces])


def test_cached_equals_uncached(network: Transformer) -> None:
    """However a row is cut into passes, int8 logits have the same bits."""
    token_ids = _token_ids(1, 150)
    whole = _run_in_pieces(network, token_ids, [150])
    for sizes in ([60, *[1] * 15, 75], [7, 64, 50, 3, 24, 1, 1], [63, 1, 1, 62, 1, 1, 21]):
        assert torch.equal(_run_in_pieces(network, token_ids, sizes), whole)


def test_batched_equals_alone(network: Transformer) -> None:
    """Whatever rows share a row's passes, its int8 logits have the same bits."""
    mine = _token_ids(2, 90)
    alone = _run_in_pieces(network, mine, [90])
    rows = [CachedRow(network.config, N_SLOTS) for _ in range(3)]
    found = []
    for step, piece in enumerate(torch.split(mine, [1, 40, 8, 41])):
        others = [_token_ids(10 + step, 1 + 17 * step), _token_ids(20 + step, 30)]
        found.append(run_rows(network, rows, [others[0], piece, others[1]])[1])
    assert torch.equal(torch.cat(found), alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_differs_by_rounding_alone(shape: str, n_threads: int) -> None:
    """Float32 matmuls add in another order for another batch, and in no other way."""
    placement = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=n_threads)
    network = random_network(SHAPES[shape], placement, seed=3)
    token_ids = _token_ids(1, 150)
    whole = _run_in_pieces(network, token_ids, [150])
    pieces = _run_in_pieces(network, token_ids, [1, 60, 8, 81])
    assert torch.allclose(whole, pieces, rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    n_rows=st.integers(1, 40),
    n_inputs=st.sampled_from([2, 16, 24, 100, 256]),
    n_outputs=st.sampled_from([1, 8, 33, 64, 300]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    has_bias=st.booleans(),
)
def test_an_int8_row_is_its_own(
    n_rows: int, n_inputs: int, n_outputs: int, scale: float, has_bias: bool
) -> None:
    """A linear layer's row has the same bits alone and beside rows of any magnitude."""
    generator = torch.Generator().manual_seed(n_rows)
    weight = torch.randn(n_outputs, n_inputs, generator=generator)
    bias = torch.randn(n_outputs, generator=generator) if has_bias else None
    linear = Int8Linear(weight, bias)
    rows = torch.randn(n_rows, n_inputs, generator=generator)
    rows[::2] *= scale
    together = linear(rows)
    alone = torch.cat([linear(rows[index : index + 1]) for index in range(n_rows)])
    assert torch.equal(together, alone)


def test_int8_is_near_float32() -> None:
    """Rounding weights and inputs costs about one part in a hundred of a product."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(300, 200, generator=generator)
    rows = torch.randn(50, 200, generator=generator) * torch.logspace(-4, 4, 50)[:, None]
    exact = rows @ weight.T
    error = (Int8Linear(weight, None)(rows) - exact).norm(dim=1) / exact.norm(dim=1)
    assert float(error.max()) < (0.02 if largest_weight_level() == 127 else 0.03)


def test_an_int8_row_of_zeros_gives_the_bias() -> None:
    """Dividing by a magnitude of zero never happens."""
    linear = Int8Linear(torch.ones(4, 8), torch.arange(4.0))
    assert torch.equal(linear(torch.zeros(2, 8)), torch.arange(4.0).expand(2, 4))


def test_int8_network_is_near_float32() -> None:
    """The likelihoods of a whole int8 network stay near those of the same float32 network."""
    config = SHAPES["round"]
    token_ids = _token_ids(5, 100)
    logprobs = {}
    for dtype in (Dtype.FLOAT32, Dtype.INT8):
        placement = Placement(device="cpu", dtype=dtype)
        network = random_network(config, placement, seed=3)
        logprobs[dtype] = _run_in_pieces(network, token_ids, [100]).log_softmax(dim=-1)
    difference = (logprobs[Dtype.INT8] - logprobs[Dtype.FLOAT32]).abs()
    assert float(difference.max()) < 0.05


@settings(max_examples=20, deadline=None)
@given(
    n_cached=st.integers(0, 200),
    n_tokens=st.integers(1, 80),
    heads=st.sampled_from([(1, 1), (6, 2), (4, 2), (7, 1), (12, 1), (9, 3), (10, 2)]),
    n_spare=st.sampled_from([0, 5, BLOCK_SLOTS]),
)
def test_cached_attention_equals_dense(
    n_cached: int, n_tokens: int, heads: tuple[int, int], n_spare: int
) -> None:
    """New tokens over cached slots get what the whole row gets, and spare slots are never seen."""
    n_query_heads, n_key_heads = heads
    n_slots = n_cached + n_tokens
    generator = torch.Generator().manual_seed(n_slots)
    q_THD = torch.randn(n_slots, n_query_heads, 8, generator=generator)
    k_KSD, v_KSD = torch.randn(2, n_key_heads, n_slots + n_spare, 8, generator=generator)
    found = attend_cached(q_THD[n_cached:], k_KSD, v_KSD, n_cached)
    k_NKD, v_NKD = (x_KSD[:, :n_slots].transpose(0, 1) for x_KSD in (k_KSD, v_KSD))
    dense = DenseCausal(n_rows=1, n_tokens=n_slots)(0, q_THD, k_NKD, v_NKD)
    assert torch.allclose(found, dense[n_cached:], rtol=0, atol=1e-5)
