"""A deeper network made of one that has learned computes the same, and every layer can learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.faults import TrainingError
from fimble_model.training.growth import deepen


@pytest.mark.parametrize("n_layers", [2, 3, 4, 7])
def test_the_deeper_network_gives_the_same_logits(
    tiny_config: NetworkConfig, n_layers: int
) -> None:
    shallow, deep_config = _network(tiny_config), replace(tiny_config, n_layers=n_layers)
    deep = _load(deep_config, deepen(_weights(shallow), tiny_config, deep_config))
    assert torch.allclose(_logits(deep), _logits(shallow), atol=1e-5)


def test_every_new_layer_gets_a_gradient_at_once(tiny_config: NetworkConfig) -> None:
    deep_config = replace(tiny_config, n_layers=2 * tiny_config.n_layers)
    deep = _load(deep_config, deepen(_weights(_network(tiny_config)), tiny_config, deep_config))
    _logits(deep).square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
    for name, parameter in deep.named_parameters():
        if name.endswith(("output.weight", "down.weight")):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_network_is_not_made_shallower_or_wider(tiny_config: NetworkConfig) -> None:
    weights = _weights(_network(tiny_config))
    for other in (
        replace(tiny_config, n_layers=tiny_config.n_layers - 1),
        replace(tiny_config, feed_forward_width=2 * tiny_config.feed_forward_width),
    ):
        with pytest.raises(TrainingError, match="layers of width"):
            deepen(weights, tiny_config, other)


def _network(config: NetworkConfig) -> Transformer:
    network = Transformer(config)
    network.initialise(3)
    return network


def _weights(network: Transformer) -> dict[str, Tensor]:
    return {name: each.detach() for name, each in network.named_parameters()}


def _load(config: NetworkConfig, weights: dict[str, Tensor]) -> Transformer:
    network = _network(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights[name])
    return network


def _logits(network: Transformer) -> Tensor:
    ids = torch.arange(24) % network.config.vocabulary_size
    attend = DenseCausal(n_rows=1, n_tokens=24)
    logits: Tensor = network.logits(network(ids, torch.arange(24), attend))
    return logits
