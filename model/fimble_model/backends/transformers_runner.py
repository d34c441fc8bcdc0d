"""One pass of a network that transformers has built, over rows of cropped caches.

Owns the calls into that network, and the finding out whether its cache may be cropped. Never
chooses tokens or rows, and loads nothing.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from fimble_model.backends.cropped_rows import CroppedRow
from fimble_model.engine.pieces import Answer, Piece
from fimble_model.engine.protocol import TokenId
from fimble_model.network.cost import PassCost

__all__ = ["TransformersRunner", "measure_slot_bytes"]

log = logging.getLogger(__name__)

# Ids below this are in every vocabulary that has a byte for each of its first tokens.
_PROBE_IDS = (5, 9, 14, 7, 11, 30, 22, 40)
_PROBE_TOLERANCE = 1e-3


class TransformersRunner:
    """Implements `PassRunner` over a causal language model and `CroppedRows`.

    Rows are computed one after the other: other people's networks differ in how they take
    batches of unequal rows, but not in how they take one row.
    """

    grants_wishes = False

    def __init__(self, network: nn.Module, *, vocabulary_size: int) -> None:
        self._network = network
        self._vocabulary_size = vocabulary_size
        parameter = next(network.parameters())
        self._device = parameter.device
        accepted = inspect.signature(network.forward).parameters
        self._takes_keep = "logits_to_keep" in accepted
        self._takes_past = "past_key_values" in accepted
        self.bytes_per_slot, self.can_crop = 0, False
        if self._takes_past:
            self._try_cache()
        self.cost = _reckon_cost(network, parameter.element_size(), self.bytes_per_slot)

    def run(self, pieces: Sequence[Piece]) -> list[Answer]:
        """Each piece's `logprobs_LV`, row by row."""
        return [self._run_piece(piece) for piece in pieces]

    def run_on(self, rows: Sequence[Any], uniforms: Sequence[float]) -> None:
        """It draws nothing, so nothing is at hand."""

    def give_way(self) -> None:
        """On a GPU, hand back what torch keeps for later."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def rest(self) -> None:
        """Nothing waits for such a moment."""

    def _run_piece(self, piece: Piece) -> Tensor:
        row: CroppedRow = piece.row
        row.crop()
        token_ids = [*row.token_ids[row.n_held :], *piece.token_ids]
        logits_LV, row.past = self._call(token_ids, row.past, piece.n_loud)
        row.token_ids.extend(piece.token_ids)
        row.n_held = len(row.token_ids) if row.past is not None else 0
        return logits_LV.float().log_softmax(dim=-1)

    def _call(self, token_ids: Sequence[TokenId], past: Any, n_loud: int) -> tuple[Tensor, Any]:
        """The last `n_loud` lines of logits, and the cache after these tokens."""
        named: dict[str, Any] = {"use_cache": self._takes_past}
        if self._takes_past:
            named["past_key_values"] = past if past is not None else DynamicCache()
        if self._takes_keep:
            # 0 would stand for all of them.
            named["logits_to_keep"] = max(n_loud, 1)
        ids_BT = torch.tensor([list(token_ids)], device=self._device)
        output = self._network(input_ids=ids_BT, **named)
        logits_LV = output.logits[0, :, : self._vocabulary_size]
        logits_LV = logits_LV[logits_LV.shape[0] - n_loud :]
        past = getattr(output, "past_key_values", None) if self.can_crop else None
        return logits_LV, past

    def _try_cache(self) -> None:
        """See whether a cropped cache says what a fresh one does; if not, none is used."""
        ids = [TokenId(index) for index in _PROBE_IDS]
        self.can_crop = True
        try:
            with torch.inference_mode():
                fresh_LV, _ = self._call(ids, None, 3)
                _, past = self._call([*ids[:5], *ids[:3]], None, 1)
                row = CroppedRow(len(ids))
                row.past, row.n_held, row.token_ids = past, len(ids), ids[:5]
                row.crop()
                cropped_LV, past = self._call(ids[5:], row.past, 3)
                self.bytes_per_slot = measure_slot_bytes(past, len(ids))
            spread = (fresh_LV.float() - cropped_LV.float()).abs().max()
            scale = fresh_LV.float().abs().max().clamp(min=1.0)
            limit = _PROBE_TOLERANCE if fresh_LV.dtype is torch.float32 else 0.05
            self.can_crop = bool(spread <= limit * scale)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            log.info("this network's cache cannot be cropped: %s", type(error).__name__)
            self.can_crop = False
        if not self.can_crop:
            log.warning("this network keeps nothing between keystrokes: every pass reads all")
            self.bytes_per_slot = 0


def measure_slot_bytes(past: Any, n_tokens: int) -> int:
    """Bytes of one slot over all layers. Raises where the cache is of another kind."""
    n_bytes = 0
    for layer in past.layers:
        for tensor in (layer.keys, layer.values):
            if tensor.shape[-2] != n_tokens:
                raise ValueError("a layer that does not hold every slot")
            n_bytes += tensor.numel() * tensor.element_size()
    return n_bytes // n_tokens


def _reckon_cost(network: nn.Module, bytes_per_weight: int, bytes_per_slot: int) -> PassCost:
    """The costs as far as counting parameters tells; experts that sleep are counted too."""
    head: Any = getattr(network, "get_output_embeddings", lambda: None)()
    head_size = 0 if head is None else int(head.weight.numel())
    n_all = sum(parameter.numel() for parameter in network.parameters())
    n_layers = max(n_all - head_size, 0)
    return PassCost(
        flops_per_token=2 * n_layers,
        flops_per_loud_token=2 * head_size,
        flops_per_attended_slot=bytes_per_slot,
        layer_bytes=n_layers * bytes_per_weight,
        head_bytes=head_size * bytes_per_weight,
        bytes_per_slot=bytes_per_slot,
    )
