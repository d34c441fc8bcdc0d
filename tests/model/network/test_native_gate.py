"""The native kernels refuse every network that they would compute otherwise than it is meant."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace

import pytest
import torch

from fimble_model.assembly import layout_of
from fimble_model.engine.kv_cache import KvCache
from fimble_model.engine.protocol import TokenId
from fimble_model.engine.ragged_pass import Piece, run_pass
from fimble_model.network.architecture import (
    Activation,
    Experts,
    LinearRope,
    NormKind,
    Positions,
    Residual,
    YarnRope,
)
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Kernels, Placement
from fimble_model.network.native.library import kernels_name
from fimble_model.network.native.network import why_not_native
from fimble_model.network.weights import random_network

PLAIN = NetworkConfig(
    n_layers=2,
    width=32,
    n_query_heads=4,
    n_key_heads=2,
    head_size=8,
    feed_forward_width=64,
    vocabulary_size=128,
    max_positions=320,
)
EXACT = {
    "rope_theta": 5.0,
    "rope_scaling": LinearRope(factor=2.0),
    "norm_epsilon": 1e-3,
    "tied_embeddings": False,
    "qkv_bias": True,
    "output_bias": True,
    "mlp_bias": True,
    "qk_norm": True,
}
REFUSED: dict[str, object] = {
    "qk_norm_per_head": True,
    "norm": NormKind.LAYER,
    "norm_offset": 1.0,
    "activation": Activation.RELU,
    "gated": False,
    "residual": Residual.PARALLEL,
    "positions": Positions.LEARNED,
    "rotary_size": 4,
    "window": 20,
    "full_layers": frozenset({1}),
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.5,
    "attention_scale": 1.0,
    "logits_divisor": 2.0,
    "experts": Experts(n_experts=2, n_chosen=1, width=8, normalises=True),
}


def test_every_choice_is_either_computed_or_refused() -> None:
    """A field that is added to the config must be put into one of the two tables."""
    choices = {field.name for field in fields(NetworkConfig) if field.default is not MISSING}
    assert choices == EXACT.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_kernels_lack_is_refused_by_its_name(name: str) -> None:
    reason = why_not_native(replace(PLAIN, **{name: REFUSED[name]}))  # type: ignore[arg-type]  # a table of fields
    assert reason is not None
    assert name.replace("_", " ") in reason


@pytest.mark.parametrize("name", EXACT)
def test_what_the_kernels_have_is_let_through(name: str) -> None:
    assert why_not_native(replace(PLAIN, **{name: EXACT[name]})) is None  # type: ignore[arg-type]  # a table of fields


@pytest.mark.skipif(kernels_name() is None, reason="the native kernels were not built")
@pytest.mark.parametrize(
    "scaling",
    [
        LinearRope(factor=4.0),
        YarnRope(factor=4.0, original_positions=80, attention_factor=1.2),
    ],
    ids=["linear", "yarn"],
)
def test_scaled_rotary_is_exact_in_the_kernels(scaling: LinearRope | YarnRope) -> None:
    """Frequencies come to the kernels as tables: the same network in float32 says the same."""
    config = replace(PLAIN, rope_scaling=scaling)
    token_ids = [TokenId(index * 37 % 128) for index in range(300)]
    found = []
    for dtype, kernels in ((Dtype.INT8, Kernels.NATIVE), (Dtype.FLOAT32, None)):
        placement = Placement(device="cpu", dtype=dtype, n_threads=1, kernels=kernels)
        network = random_network(config, placement, seed=1)
        assert (network.native is None) == (dtype is Dtype.FLOAT32)
        cache = KvCache(layout_of(network, placement), 2**22)
        row = cache.try_acquire((), len(token_ids))
        assert row is not None
        with torch.inference_mode():
            (logprobs_LV,) = run_pass(network, cache.pool, [Piece(row, token_ids, 0)])
        found.append(logprobs_LV)
    # Only the weights are rounded; other frequencies move these numbers by some tenths.
    assert float((found[0] - found[1]).abs().max()) < 0.02
