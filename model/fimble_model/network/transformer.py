"""The network from top to bottom: token ids and positions in, hidden states and logits out.

Owns the order of the layers and the head. Never knows where keys and values are kept (that is
the `Attend` it is handed), nor which rows the tokens belong to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fimble_model.network.attention import Attend
from fimble_model.network.config import NetworkConfig
from fimble_model.network.layers import DecoderLayer, Embedding, Linear, RmsNorm, Rotary
from fimble_model.network.native.network import NativeNetwork

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
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.n_layers))
        self.final_norm = RmsNorm(config.width, config.norm_epsilon)
        self.rotary = Rotary(config)
        self.head = Linear(config.width, config.vocabulary_size, bias=False)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, token_ids_N: Tensor, position_ids_N: Tensor, attend: Attend) -> Tensor:
        """Hidden states `hidden_NE` after the final norm.

        `position_ids_N` counts from 0 within each token's own row. `attend` is called once a
        layer, in order.
        """
        # An embedding may be stored in fewer bits than the network computes in.
        hidden_NE: Tensor = self.embedding(token_ids_N).to(self.final_norm.weight.dtype)
        rotary_N1D = self.rotary(position_ids_N)
        for layer_index, layer in enumerate(self.layers):
            hidden_NE = layer(layer_index, hidden_NE, rotary_N1D, attend)
        normed_NE: Tensor = self.final_norm(hidden_NE)
        return normed_NE

    def logits(self, hidden_NE: Tensor) -> Tensor:
        """Float32 `logits_NV` of hidden states that `forward` returned."""
        logits_NV: Tensor = self.head(hidden_NE)
        return logits_NV.float()

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
