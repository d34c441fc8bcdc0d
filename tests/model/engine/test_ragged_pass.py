"""Laws of a pass by the native kernels: it is right, and a token's bits are its own row's alone.

However a row is cut into passes, whatever rows come along, however many threads share the work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
import torch
from torch import Tensor

from fimble_model.engine.kv_cache import KvCache, KvLayout, KvRow
from fimble_model.engine.protocol import TokenId
from fimble_model.engine.ragged_pass import Piece, run_pass
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Kernels, Placement
from fimble_model.network.native.library import kernels_name, set_threads, use_kernels
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network

pytestmark = pytest.mark.skipif(kernels_name() is None, reason="the native kernels are not built")

ROUND = NetworkConfig(
    n_layers=2,
    width=64,
    n_query_heads=4,
    n_key_heads=2,
    head_size=16,
    feed_forward_width=128,
    vocabulary_size=256,
    max_positions=512,
    qk_norm=True,
)
SHAPES = {
    "round": ROUND,
    "odd": dataclasses.replace(
        ROUND,
        width=75,
        n_query_heads=6,
        head_size=24,
        feed_forward_width=101,
        vocabulary_size=301,
        tied_embeddings=False,
        qk_norm=False,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
    ),
    "one wide group": dataclasses.replace(
        ROUND, n_layers=3, n_query_heads=27, n_key_heads=1, head_size=8, rope_theta=1e6
    ),
    "large heads": dataclasses.replace(
        ROUND, n_layers=1, n_query_heads=3, n_key_heads=3, head_size=128, qk_norm=False
    ),
}
SIZES = ([150], [60, *[1] * 15, 75], [7, 64, 50, 3, 24, 1, 1], [63, 1, 1, 62, 1, 1, 21])


@pytest.fixture(autouse=True, params=["best", "generic"])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """The laws hold for this CPU's own kernels and for the plain ones."""
    best = kernels_name()
    assert best is not None
    assert use_kernels(best if request.param == "best" else request.param)
    yield request.param
    use_kernels(best)
    set_threads(1)


@cache
def _network(shape: str, dtype: Dtype, kernels: Kernels | None = None) -> Transformer:
    placement = Placement(device="cpu", dtype=dtype, n_threads=1, kernels=kernels)
    return random_network(SHAPES[shape], placement, seed=3)


def _native(shape: str) -> Transformer:
    network = _network(shape, Dtype.INT8, Kernels.NATIVE)
    assert network.native is not None
    return network


def _cache(config: NetworkConfig, dtype: torch.dtype = torch.float16) -> KvCache:
    layout = KvLayout(
        n_layers=config.n_layers,
        n_key_heads=config.n_key_heads,
        head_size=config.head_size,
        max_tokens=config.max_positions,
        dtype=dtype,
        device=torch.device("cpu"),
    )
    return KvCache(layout, 40 * layout.bytes_per_page)


def _token_ids(seed: int, n_tokens: int) -> list[TokenId]:
    generator = torch.Generator().manual_seed(seed)
    return [TokenId(i) for i in torch.randint(0, 256, (n_tokens,), generator=generator).tolist()]


def _row(cache: KvCache) -> KvRow:
    row = cache.try_acquire((), 300)
    assert row is not None
    return row


def _run_in_pieces(
    network: Transformer,
    token_ids: list[TokenId],
    sizes: Sequence[int],
    dtype: torch.dtype = torch.float16,
) -> Tensor:
    cache = _cache(network.config, dtype)
    row = _row(cache)
    found = []
    for size in sizes:
        start = len(row.token_ids)
        piece = Piece(row, token_ids[start : start + size], 0)
        found += run_pass(network, cache.pool, [piece])
    return torch.cat(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pass_is_near_the_float32_reference(shape: str) -> None:
    """Weights are rounded to 8 bits, cached numbers to 16; little else is lost."""
    token_ids = _token_ids(1, 150)
    reference = _network(shape, Dtype.FLOAT32)
    expected = _run_in_pieces(reference, token_ids, [150], torch.float32)
    found = _run_in_pieces(_native(shape), token_ids, [150])
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(150), atol=1e-4)
    assert float((found - expected).abs().max()) < 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pass_equals_torch_over_the_same_weights(shape: str) -> None:
    """The same panels, multiplied one layer at a time between torch's own operators."""
    token_ids = _token_ids(1, 150)
    network = _native(shape)
    found = _run_in_pieces(network, token_ids, [100, 50])
    native, network.native = network.native, None
    try:
        expected = _run_in_pieces(network, token_ids, [100, 50])
    finally:
        network.native = native
    assert torch.allclose(found, expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_cached_equals_uncached(shape: str) -> None:
    token_ids = _token_ids(1, 150)
    whole = _run_in_pieces(_native(shape), token_ids, SIZES[0])
    for sizes in SIZES[1:]:
        assert torch.equal(_run_in_pieces(_native(shape), token_ids, sizes), whole)


@pytest.mark.parametrize("shape", SHAPES)
def test_batched_equals_alone(shape: str) -> None:
    """Rows of all lengths beside it, from a cache whose pages lie in any order."""
    network, mine = _native(shape), _token_ids(2, 90)
    alone = _run_in_pieces(network, mine, [90])
    cache = _cache(network.config)
    rows = [_row(cache) for _ in range(3)]
    found = []
    for step, size in enumerate([1, 40, 8, 41]):
        start = len(rows[1].token_ids)
        pieces = [
            Piece(rows[0], _token_ids(10 + step, 1 + 17 * step), step),
            Piece(rows[1], mine[start : start + size], 0),
            Piece(rows[2], _token_ids(20 + step, 30), 30),
        ]
        found.append(run_pass(network, cache.pool, pieces)[1])
    assert torch.equal(torch.cat(found), alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_change_no_bit(shape: str) -> None:
    token_ids = _token_ids(1, 150)
    found = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        found.append(_run_in_pieces(_native(shape), token_ids, [100, 1, 8, 41]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("shape", SHAPES)
def test_silent_tokens_change_nothing_for_the_others(shape: str) -> None:
    network, token_ids = _native(shape), _token_ids(4, 130)
    everything = _run_in_pieces(network, token_ids, [130])
    for n_silent in (1, 64, 129, 130):
        cache = _cache(network.config)
        (found,) = run_pass(network, cache.pool, [Piece(_row(cache), token_ids, n_silent)])
        assert torch.equal(found, everything[n_silent:])


def test_a_rolled_back_row_is_as_if_it_had_never_gone_on() -> None:
    network, token_ids = _native("round"), _token_ids(5, 100)
    whole = _run_in_pieces(network, token_ids, [100])
    cache = _cache(network.config)
    row = _row(cache)
    run_pass(network, cache.pool, [Piece(row, [*token_ids[:60], *_token_ids(6, 90)], 150)])
    row.truncate(60)
    (found,) = run_pass(network, cache.pool, [Piece(row, token_ids[60:], 0)])
    assert torch.equal(found, whole[60:])


def test_what_another_row_left_in_a_page_is_never_seen() -> None:
    """Not even where it is no number."""
    network, token_ids = _native("round"), _token_ids(5, 100)
    whole = _run_in_pieces(network, token_ids, [100])
    cache = _cache(network.config)
    cache.pool.keys_LPKDS.fill_(torch.nan)
    cache.pool.values_LPKSD.fill_(torch.nan)
    row = _row(cache)
    parts = [
        run_pass(network, cache.pool, [Piece(row, piece, 0)])[0]
        for piece in (token_ids[:33], token_ids[33:34], token_ids[34:])
    ]
    assert torch.equal(torch.cat(parts), whole)
