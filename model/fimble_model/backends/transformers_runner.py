"""One pass of a network that transformers has built, over rows of cropped caches.

Owns the calls into that network, and the finding out what its cache allows. Never
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

from fimble_model.backends.cropped_rows import CacheKind, CroppedRow
from fimble_model.engine.pieces import Answer, Piece
from fimble_model.engine.protocol import TokenId
from fimble_model.network.cost import PassCost

__all__ = ["TransformersRunner"]

log = logging.getLogger(__name__)

# Ids below this are in every vocabulary that has a byte for each of its first tokens.
_PROBE_IDS = (5, 9, 14, 7, 11, 30, 22, 40)
_PROBE_TOLERANCE = 1e-3
# A step of one token takes about the time of this many tokens of a prompt. Guessed.
_TOKENS_A_STEP = 8
# What transformers calls a cache, in most networks and in those with nothing but states.
_PAST_NAMES = ("past_key_values", "cache_params")
# What networks raise that were made for another cache.
_CACHE_FAULTS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


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
        self._past_name = next((name for name in _PAST_NAMES if name in accepted), None)
        self._goes_on_by_one = False
        self.kind, self.bytes_per_slot, self.bytes_per_row = self._find_kind()
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
        n_new = len(row.token_ids) - row.n_held + len(piece.token_ids)
        if self._goes_on_by_one and n_new > 1 and n_new * _TOKENS_A_STEP > row.n_held:
            row.drop_past()
        token_ids = [*row.token_ids[row.n_held :], *piece.token_ids]
        logits_LV, row.past = self._go_on(token_ids, row.past, piece.n_loud)
        row.token_ids.extend(piece.token_ids)
        row.n_held = len(row.token_ids) if row.past is not None else 0
        return logits_LV.float().log_softmax(dim=-1)

    def _go_on(self, token_ids: Sequence[TokenId], past: Any, n_loud: int) -> tuple[Tensor, Any]:
        """The same as `_call`, for networks too that go on from a state by one token at a time."""
        if past is None or not self._goes_on_by_one:
            return self._call(token_ids, past, n_loud)
        lines = []
        for token_id in token_ids:
            line_LV, past = self._call([token_id], past, 1)
            lines.append(line_LV)
        return torch.cat(lines[len(lines) - n_loud :] or [lines[0][:0]]), past

    def _call(self, token_ids: Sequence[TokenId], past: Any, n_loud: int) -> tuple[Tensor, Any]:
        """The last `n_loud` lines of logits, and the cache after these tokens."""
        named: dict[str, Any] = {"use_cache": self.kind is not CacheKind.NONE}
        if self._past_name is not None and self.kind is not CacheKind.NONE:
            named[self._past_name] = self._new_past() if past is None else past
        if self._takes_keep:
            # 0 would stand for all of them.
            named["logits_to_keep"] = max(n_loud, 1)
        ids_BT = torch.tensor([list(token_ids)], device=self._device)
        output = self._network(input_ids=ids_BT, **named)
        logits_LV = output.logits[0, :, : self._vocabulary_size]
        logits_LV = logits_LV[logits_LV.shape[0] - n_loud :]
        past = None
        if self._past_name is not None and self.kind is not CacheKind.NONE:
            past = getattr(output, self._past_name)
        return logits_LV, past

    def _new_past(self) -> DynamicCache:
        """Every slot of every layer, or the states that the network's config speaks of."""
        if self.kind is CacheKind.CROPPED:
            return DynamicCache()
        config: Any = self._network.config
        return DynamicCache(config=config)

    def _find_kind(self) -> tuple[CacheKind, int, int]:
        """What this network's cache allows: what it then says is what it says without any.

        With the bytes of a slot, and of a row besides its slots.
        """
        kinds = (CacheKind.CROPPED, False), (CacheKind.CARRIED, False), (CacheKind.CARRIED, True)
        for kind, goes_on_by_one in kinds if self._past_name is not None else ():
            self.kind, self._goes_on_by_one = kind, goes_on_by_one
            try:
                with torch.inference_mode():
                    return kind, *self._try_kind()
            except _CACHE_FAULTS as error:
                log.info("this network's cache is not %s: %s", kind.name.lower(), error)
        self._goes_on_by_one = False
        log.warning("this network keeps nothing between passes: every pass reads all")
        return CacheKind.NONE, 0, 0

    def _try_kind(self) -> tuple[int, int]:
        """Raise unless a past that was cropped, or carried on, changes nothing."""
        ids = [TokenId(index) for index in _PROBE_IDS]
        fresh_LV, whole = self._call(ids, None, 3)
        row = CroppedRow(len(ids), self.kind)
        first = ids[:5]
        if self.kind is CacheKind.CROPPED:
            _, row.past = self._call([*first, *ids[:3]], None, 1)
            row.n_held, row.token_ids = len(ids), first
            row.crop()
        else:
            _, row.past = self._call(first, None, 1)
        fewer_bytes = _n_bytes(row.past)
        lines = []
        # As a row is written: one token alone, then several at once.
        for some_ids in (ids[5:6], ids[6:]):
            line_LV, row.past = self._go_on(some_ids, row.past, len(some_ids))
            lines.append(line_LV)
        _refuse_difference(fresh_LV, torch.cat(lines))
        per_slot = (_n_bytes(row.past) - fewer_bytes) // (len(ids) - len(first))
        if self.kind is CacheKind.CROPPED and _n_bytes(whole) != per_slot * len(ids):
            raise ValueError("a layer does not hold every slot")
        return per_slot, max(_n_bytes(whole) - per_slot * len(ids), 0)


def _refuse_difference(fresh_LV: Tensor, other_LV: Tensor) -> None:
    spread = (fresh_LV.float() - other_LV.float()).abs().max()
    scale = fresh_LV.float().abs().max().clamp(min=1.0)
    limit = _PROBE_TOLERANCE if fresh_LV.dtype is torch.float32 else 0.05
    # Not the other way round, for nothing is less or more than a number that is none.
    if not spread <= limit * scale:
        raise ValueError("it changes what the network says")


def _n_bytes(past: Any) -> int:
    """Bytes of all that a cache's layers hold. Raises where it is of another kind."""
    return sum(_tensor_bytes(held) for layer in past.layers for held in vars(layer).values())


def _tensor_bytes(held: object) -> int:
    if isinstance(held, dict):
        return sum(map(_tensor_bytes, held.values()))
    # What is one number is no state: transformers keeps a window's size as a tensor.
    return held.nbytes if isinstance(held, Tensor) and held.dim() > 1 else 0


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
