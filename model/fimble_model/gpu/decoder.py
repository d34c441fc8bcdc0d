"""A `Transformer` by the GPU's fused operations, over the same weights.

Owns the order of operations and which networks it covers. Never knows rows or pages: where keys
and values go is a slot for each token, and attention is a call it is handed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from fimble_model.gpu import operations
from fimble_model.gpu.operations import HeadGains
from fimble_model.gpu.pool import GpuPool
from fimble_model.network.config import NetworkConfig
from fimble_model.network.layers import DecoderLayer
from fimble_model.network.transformer import Transformer

__all__ = ["FusedDecoder", "PagedAttend", "why_not_fused"]

PagedAttend = Callable[[int, Tensor], Tensor]
"""A layer's index and its queries `q_NHD`, to `o_NHD`. Keys and values are in their slots."""

_KNOWN_FIELDS = frozenset(
    {
        *("rope_theta", "rope_scaling", "norm_epsilon", "tied_embeddings"),
        *("qkv_bias", "output_bias", "mlp_bias", "qk_norm"),
    }
)


def why_not_fused(config: NetworkConfig) -> str | None:
    """What keeps the fused path from running such a network; None where nothing does.

    It knows the fields named above; one that it does not know must be at its default.
    """
    return ", ".join(config.departures(but_for=_KNOWN_FIELDS)) or None


class FusedDecoder:
    """A network's passes over a pool. Holds no weights of its own."""

    def __init__(self, transformer: Transformer, pool: GpuPool) -> None:
        reason = why_not_fused(transformer.config)
        assert reason is None, f"the fused path has no {reason}"
        self.config = transformer.config
        self.scale = transformer.config.head_size**-0.5
        self._transformer = transformer
        self._pool = pool
        self._layers = [cast("DecoderLayer", layer) for layer in transformer.layers]
        self._head_gains = [_head_gains(layer) for layer in self._layers]
        # All of the tables: a position is never looked at on the host.
        assert transformer.rotary is not None, "learned positions"
        self._rotary = transformer.rotary
        self._rotary.grow(transformer.config.max_positions)

    def hidden(
        self, token_ids_N: Tensor, positions_N: Tensor, slots_N: Tensor, attend: PagedAttend
    ) -> Tensor:
        """Hidden states `hidden_NE` after the final norm; keys and values go to their slots."""
        network, config, pool = self._transformer, self.config, self._pool
        cos_ND = self._rotary.cos_PD.index_select(0, positions_N)
        sin_ND = self._rotary.sin_PD.index_select(0, positions_N)
        dtype = network.final_norm.weight.dtype
        x_NE: Tensor = functional.embedding(token_ids_N, network.embedding.weight).to(dtype)
        residual_NE: Tensor | None = None
        for index, layer in enumerate(self._layers):
            before = layer.attention_norm
            x_NE, residual_NE = operations.add_norm(
                x_NE, residual_NE, before.weight, before.epsilon
            )
            q_NHD = operations.rotate_and_store(
                layer.qkv(x_NE),
                cos_ND,
                sin_ND,
                self._head_gains[index],
                pool.keys_LPSKD[index],
                pool.values_LPSKD[index],
                slots_N,
                config.n_query_heads,
                config.n_key_heads,
            )
            x_NE = layer.output(attend(index, q_NHD).flatten(1))
            norm = layer.feed_forward_norm
            assert norm is not None, "a layer in two steps has two norms"
            x_NE, residual_NE = operations.add_norm(x_NE, residual_NE, norm.weight, norm.epsilon)
            x_NE = layer.down(operations.gated(layer.gate_up(x_NE)))
        last = network.final_norm
        return operations.add_norm(x_NE, residual_NE, last.weight, last.epsilon)[0]

    def logits_into(self, hidden_NE: Tensor, logits_NV: Tensor) -> None:
        """Write the logits of hidden states to where they are wanted, in the network's type."""
        head = self._transformer.head
        if isinstance(head, torch.nn.Linear) and head.bias is None:
            torch.mm(hidden_NE, head.weight.t(), out=logits_NV)
        else:
            logits_NV.copy_(head(hidden_NE))

    def logprobs(self, hidden_NE: Tensor) -> Tensor:
        """Float32 `logprobs_NV` of hidden states."""
        return self._transformer.logits(hidden_NE).log_softmax(dim=-1)


def _head_gains(layer: DecoderLayer) -> HeadGains | None:
    norm = layer.head_norm
    return None if norm is None else HeadGains(norm.query_weight, norm.key_weight, norm.epsilon)
