"""What a pass of a network costs, counted from its shape: operations and bytes, not time.

Owns the two counts that utilisation is reckoned from. Pure; never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.network.config import NetworkConfig

__all__ = ["PassCost", "PassShape", "RowShape", "cost_of"]


class RowShape(NamedTuple):
    """A row's part of a pass: `n_tokens` new ones after `n_cached`; `n_loud` ask the head."""

    n_tokens: int
    n_cached: int
    n_loud: int


PassShape = Sequence[RowShape]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCost:
    """What one token, one answer of the head and one attended slot cost in a given network.

    A multiplication and an addition are two operations (Kaplan et al. 2020, section 2.1); norms,
    rotary and softmax are left out, for they are far below a per cent. A pass reads every matrix
    once, and every row's keys and values once; the embedding is looked up, not read. Of experts a
    token computes with those it chooses; read are all, as by a pass of many tokens.
    """

    flops_per_token: int
    flops_per_loud_token: int
    flops_per_attended_slot: int
    layer_bytes: int
    head_bytes: int
    bytes_per_slot: int

    @property
    def weight_bytes(self) -> int:
        """Bytes that a pass with an answer reads of the weights."""
        return self.layer_bytes + self.head_bytes

    def flops(self, shape: PassShape) -> int:
        """Operations of one pass. Token i of a row attends to all slots up to its own."""
        n_tokens = sum(row.n_tokens for row in shape)
        n_loud = sum(row.n_loud for row in shape)
        n_attended = sum(
            row.n_tokens * row.n_cached + row.n_tokens * (row.n_tokens + 1) // 2 for row in shape
        )
        return (
            n_tokens * self.flops_per_token
            + n_loud * self.flops_per_loud_token
            + n_attended * self.flops_per_attended_slot
        )

    def flops_of_decoding(self, n_rows: int, n_cached: int) -> int:
        """Operations of a pass of one token in each of some rows, with so many slots in all.

        >>> cost = PassCost(
        ...     flops_per_token=5, flops_per_loud_token=3, flops_per_attended_slot=2,
        ...     layer_bytes=100, head_bytes=10, bytes_per_slot=4,
        ... )
        >>> rows = [RowShape(1, 7, 1), RowShape(1, 9, 1)]
        >>> cost.flops_of_decoding(2, 16) == cost.flops(rows)
        True
        >>> cost.bytes_read_in_decoding(2, 16) == cost.bytes_read(rows)
        True
        """
        per_row = self.flops_per_token + self.flops_per_loud_token + self.flops_per_attended_slot
        return n_rows * per_row + n_cached * self.flops_per_attended_slot

    def bytes_read_in_decoding(self, n_rows: int, n_cached: int) -> int:
        """Bytes that such a pass must read at the least."""
        return self.weight_bytes + (n_cached + n_rows) * self.bytes_per_slot

    def bytes_read(self, shape: PassShape) -> int:
        """Bytes of weights, keys and values that one pass must read at the least."""
        head_bytes = self.head_bytes if any(row.n_loud for row in shape) else 0
        n_slots = sum(row.n_cached + row.n_tokens for row in shape)
        return self.layer_bytes + head_bytes + n_slots * self.bytes_per_slot


def cost_of(config: NetworkConfig, bytes_per_weight: int, bytes_per_slot: int) -> PassCost:
    """The costs of a network whose matrices hold `bytes_per_weight` a number.

    >>> shape = dict(n_layers=1, n_query_heads=1, n_key_heads=1, head_size=2, max_positions=8)
    >>> tiny = NetworkConfig(width=2, feed_forward_width=3, vocabulary_size=5, **shape)
    >>> cost_of(tiny, bytes_per_weight=1, bytes_per_slot=16).weight_bytes
    44
    """
    heads_width = config.n_query_heads * config.head_size
    qkv_width = heads_width + 2 * config.n_key_heads * config.head_size
    n_matrices = 3 if config.gated else 2
    n_layer_weights = n_used_weights = config.n_layers * config.width * (qkv_width + heads_width)
    for layer_index in range(config.n_layers):
        experts = config.experts_of(layer_index)
        inner = config.feed_forward_width if experts is None else experts.width
        n_one = n_matrices * config.width * inner
        n_layer_weights += n_one * (1 if experts is None else experts.n_experts)
        n_used_weights += n_one * (1 if experts is None else experts.n_chosen)
    n_head_weights = config.width * config.vocabulary_size
    return PassCost(
        flops_per_token=2 * n_used_weights,
        flops_per_loud_token=2 * n_head_weights,
        flops_per_attended_slot=4 * config.n_layers * heads_width,
        layer_bytes=n_layer_weights * bytes_per_weight,
        head_bytes=n_head_weights * bytes_per_weight,
        bytes_per_slot=bytes_per_slot,
    )
