"""The plainest rows that can share passes of a network: what an engine does, without choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fimble_model.network.attention import attend_cached
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer

__all__ = ["CachedRow", "run_rows"]


class CachedRow:
    """Keys and values of one row in every layer, and how many of its slots are filled."""

    def __init__(self, config: NetworkConfig, n_slots: int) -> None:
        shape = (config.n_layers, 2, config.n_key_heads, n_slots, config.head_size)
        self.slots = torch.zeros(shape)
        self.n_cached = 0


def run_rows(
    network: Transformer, rows: Sequence[CachedRow], pieces: Sequence[Tensor]
) -> list[Tensor]:
    """One pass over each row's next tokens, laid end to end; each row's `logits_TV`."""
    sizes = [len(piece) for piece in pieces]
    positions = [
        torch.arange(row.n_cached, row.n_cached + size)
        for row, size in zip(rows, sizes, strict=True)
    ]

    def attend(
        layer_index: int,
        q_NHD: Tensor,
        k_NKD: Tensor,
        v_NKD: Tensor,
        window: int | None = None,
    ) -> Tensor:
        outputs = []
        start = 0
        for row, size in zip(rows, sizes, strict=True):
            here = slice(start, start + size)
            start += size
            if size:
                k_KSD, v_KSD = row.slots[layer_index]
                k_KSD[:, row.n_cached : row.n_cached + size] = k_NKD[here].transpose(0, 1)
                v_KSD[:, row.n_cached : row.n_cached + size] = v_NKD[here].transpose(0, 1)
                outputs.append(attend_cached(q_NHD[here], k_KSD, v_KSD, row.n_cached, window))
        return torch.cat(outputs)

    with torch.inference_mode():
        hidden_NE = network(torch.cat(list(pieces)), torch.cat(positions), attend)
        logits_NV = network.logits(hidden_NE)
    for row, size in zip(rows, sizes, strict=True):
        row.n_cached += size
    return list(torch.split(logits_NV, sizes))
