"""The network from top to bottom: token ids and positions in, hidden states and logits out.

Owns the order of the layers and the head. Never knows where keys and values are kept (that is
the `Attend` it is handed), nor which rows the tokens belong to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fimble_model.network.architecture import Positions
from fimble_model.network.attention import Attend
from fimble_model.network.config import NetworkConfig
from fimble_model.network.feed_forward import Embedding, Linear
from fimble_model.network.layers import DecoderLayer
from fimble_model.network.native.network import NativeNetwork
from fimble_model.network.norms import build_norm
from fimble_model.network.rotary import Rotary

__all__ = ["Transformer"]


class Transformer(nn.Module):
    """A decoder-only transformer over a flat axis of tokens, so one matmul serves all rows.

    `native` is the same network for the native kernels, over the same weights; None where those
    do not serve it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.native: NativeNetwork | None = None
        self.embedding = Embedding(config.vocabulary_size, config.width)
        self.layers = nn.ModuleList(
            DecoderLayer(config, layer_index) for layer_index in range(config.n_layers)
        )
        is_learned = config.positions is Positions.LEARNED
        self.learned_positions = (
            Embedding(config.max_positions, config.width) if is_learned else None
        )
        self.final_norm = build_norm(config)
        self.rotary = None if is_learned else Rotary(config)
        self.head = Linear(config.width, config.vocabulary_size, bias=False)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, token_ids_N: Tensor, position_ids_N: Tensor, attend: Attend) -> Tensor:
        """Hidden states `hidden_NE` after the final norm.

        `position_ids_N` counts from 0 within each token's own row. `attend` is called once a
        layer, in order.
        """
        # An embedding may be stored in fewer bits than the network computes in.
        dtype = self.final_norm.weight.dtype
        hidden_NE: Tensor = self.embedding(token_ids_N).to(dtype)
        if self.config.embedding_multiplier != 1:
            hidden_NE = hidden_NE * self.config.embedding_multiplier
        if self.learned_positions is not None:
            hidden_NE = hidden_NE + self.learned_positions(position_ids_N).to(dtype)
        rotary = None if self.rotary is None else self.rotary(position_ids_N)
        for layer_index, layer in enumerate(self.layers):
            hidden_NE = layer(layer_index, hidden_NE, rotary, attend)
        normed_NE: Tensor = self.final_norm(hidden_NE)
        return normed_NE

    def logits(self, hidden_NE: Tensor) -> Tensor:
        """Float32 `logits_NV` of hidden states that `forward` returned."""
        logits_NV: Tensor = self.head(hidden_NE)
        logits_NV = logits_NV.float()
        divisor = self.config.logits_divisor
        return logits_NV if divisor == 1 else logits_NV / divisor

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Fill the weights for training from nothing; the same seed gives the same weights.

        Normal with 0.02, and the two projections that add to the residual stream smaller by
        the square root of their number (GPT-2, section 2.3), so that depth keeps its scale.
        """
        generator = torch.Generator(device="cpu").manual_seed(seed)
        residual_scale = (2 * self.config.n_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.dim() == 1:
                parameter.fill_(1.0)
            else:
                is_residual = name.endswith(("output.weight", "down.weight"))
                std = 0.02 * residual_scale if is_residual else 0.02
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
