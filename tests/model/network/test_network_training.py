"""What the workshop relies on: gradients, a start from a seed, and export's inverse."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network

CONFIG = NetworkConfig(
    n_layers=2,
    width=32,
    n_query_heads=4,
    n_key_heads=2,
    head_size=8,
    feed_forward_width=48,
    vocabulary_size=64,
    max_positions=64,
    qk_norm=True,
)


def _start(seed: int) -> Transformer:
    transformer = Transformer(CONFIG)
    transformer.initialise(seed)
    return transformer


def _logits(transformer: Transformer, token_ids_N: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(16).repeat(2)
    return transformer.logits(
        transformer(token_ids_N, positions, DenseCausal(n_rows=2, n_tokens=16))
    )


def test_every_parameter_gets_a_gradient() -> None:
    """The loss depends on every parameter."""
    transformer = _start(0)
    token_ids_N = torch.randint(0, 64, (32,))
    loss = cross_entropy(_logits(transformer, token_ids_N), token_ids_N.roll(-1))
    torch.autograd.backward(loss)
    for name, parameter in transformer.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_the_same_seed_gives_the_same_network() -> None:
    """Initialising depends on the seed alone, and begins near a uniform guess."""
    first, again, other = (dict(_start(seed).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
    token_ids_N = torch.randint(0, 64, (32,))
    loss = cross_entropy(_logits(_start(1), token_ids_N), token_ids_N.roll(-1))
    assert abs(loss.item() - torch.tensor(64.0).log().item()) < 0.1


def test_the_serving_norms_equal_the_training_norms() -> None:
    """Freezing a network changes how it norms, not what comes out."""
    placement = Placement(device="cpu", dtype=Dtype.FLOAT32)
    token_ids_N = torch.randint(0, 64, (32,))
    with torch.no_grad():
        trained = _logits(_start(5), token_ids_N)
        served = _logits(random_network(CONFIG, placement, seed=5), token_ids_N)
    assert torch.allclose(trained, served, rtol=0, atol=1e-5)


def test_the_config_counts_the_parameters() -> None:
    """`n_parameters` is what the modules hold, whatever the biases and the head."""
    for changes in ({}, {"tied_embeddings": False}, {"qkv_bias": True, "mlp_bias": True}):
        values = {name: getattr(CONFIG, name) for name in CONFIG.__slots__} | changes
        config = NetworkConfig(**values)
        with torch.device("meta"):
            parameters = list(Transformer(config).parameters())
        assert sum(parameter.numel() for parameter in parameters) == config.n_parameters
