"""Making a deeper network out of one that has learned, so that it computes the same at first.

Owns where the new layers stand and how they begin: each is a copy of the layer below it whose two
ways back into the residual stream are zero, so it adds nothing until it has learned to (Wu et al.
2024, "LLaMA Pro: Progressive LLaMA with Block Expansion", section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fimble_model.network.config import NetworkConfig
from fimble_model.training.faults import TrainingError

__all__ = ["deepen"]

_WAYS_BACK = ("output.weight", "output.bias", "down.weight", "down.bias")


def deepen(
    weights: Mapping[str, Tensor], old: NetworkConfig, new: NetworkConfig
) -> dict[str, Tensor]:
    """Weights of a network of `new`'s layers that gives the logits of `weights`, by our names.

    The new layers are spread evenly between the old ones. Raises `TrainingError` where the two
    differ in anything but their number of layers, or where there would be fewer of them.
    """
    if replace(old, n_layers=new.n_layers) != new or new.n_layers < old.n_layers:
        raise TrainingError(
            expected=f"at most {new.n_layers} layers of width {new.width} like the recipe",
            found=f"one of {old.n_layers} layers of width {old.width}, or of other heads or norms",
            to_do="Choose a model that was made with the same recipe, or train from nothing.",
        )
    grown = {name: each for name, each in weights.items() if not name.startswith("layers.")}
    came_from = [place * old.n_layers // new.n_layers for place in range(new.n_layers)]
    for place, source in enumerate(came_from):
        is_copy = place > 0 and came_from[place - 1] == source
        for name, each in _layer(weights, source).items():
            adds_nothing = is_copy and name in _WAYS_BACK
            grown[f"layers.{place}.{name}"] = (
                torch.zeros_like(each) if adds_nothing else each.clone()
            )
    return grown


def _layer(weights: Mapping[str, Tensor], place: int) -> dict[str, Tensor]:
    start = f"layers.{place}."
    return {
        name.removeprefix(start): each for name, each in weights.items() if name.startswith(start)
    }
