"""The in-process model: checkpoint in, engine out. Knows nothing of LSP, editors or modes.

Torch is imported by `load()` alone, so that a server can answer `initialize` first.

The shape key, one letter an axis, used in names such as `q_BTHD` everywhere below:

    B rows of a batch      T tokens of a row          N tokens of all rows, laid end to end
    S cached slots         H query heads              K key/value heads
    D size of a head       E width of the network     F width inside the feed-forward part
    V vocabulary           L logits rows of one row, or layers of a buffer
    I tiles of slots       R rows of a tile           G query heads of one key/value head
"""

from fimble_model.freeing import built_to_stay, give_back_memory
from fimble_model.loading import LoadProgress, Stated, load
from fimble_model.shipped import (
    SHIPPED_LICENCE,
    ShippedModel,
    default_model_name,
    shipped_models,
)

__all__ = [
    "SHIPPED_LICENCE",
    "LoadProgress",
    "ShippedModel",
    "Stated",
    "built_to_stay",
    "default_model_name",
    "give_back_memory",
    "load",
    "shipped_models",
]
