"""A whole pass of the decoder in one native call: ragged tokens in, log-probabilities out.

Owns the native description of a `Transformer` whose linear layers lie in panels, and how a pass is
handed over. Knows no rows, caches or engines: a row is its tokens and the numbers of its pages.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from fimble_model.network.config import NetworkConfig
from fimble_model.network.native.library import (
    LayerStruct,
    NetworkStruct,
    PassStruct,
    kernels_name,
    load_library,
)
from fimble_model.network.native.linear import PanelLinear
from fimble_model.network.native.workspace import Workspace

if TYPE_CHECKING:
    from fimble_model.network.layers import DecoderLayer
    from fimble_model.network.norms import LayerNorm, RmsNorm
    from fimble_model.network.rotary import Rotary
    from fimble_model.network.transformer import Transformer

__all__ = ["NativeNetwork", "PassRow", "why_not_native"]

_EMBEDDING_NUMBERS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_HEAD_SIZE_MULTIPLE = 8
_KNOWN_FIELDS = frozenset(
    {
        *("rope_theta", "rope_scaling", "norm_epsilon", "tied_embeddings"),
        *("qkv_bias", "output_bias", "mlp_bias", "qk_norm"),
    }
)


class PassRow(NamedTuple):
    """One row's part of a pass: its next tokens, after `n_cached` slots in `pages`."""

    token_ids: Sequence[int]
    n_cached: int
    n_silent: int
    pages: Sequence[int]


def why_not_native(config: NetworkConfig) -> str | None:
    """What keeps the native kernels from running such a network; None where nothing does.

    They know the fields that are named here, and no other: one that is added to the config later
    is refused where it departs from the plainest decoder. Rotary comes as tables, so they need
    not know how frequencies were scaled.
    """
    if config.head_size % _HEAD_SIZE_MULTIPLE:
        return f"a head size of {config.head_size}, which is no multiple of {_HEAD_SIZE_MULTIPLE}"
    departures = config.departures(but_for=_KNOWN_FIELDS)
    return ", ".join(departures) or None


class NativeNetwork:
    """The network of a `Transformer`, over the same memory. One thread at a time may use it.

    Keeps the invariant that every address in its structures is that of a tensor it holds.
    """

    def __init__(self, transformer: Transformer) -> None:
        library = load_library()
        assert library is not None, "a native network without the library"
        self._library: Any = library
        self._workspace = Workspace()
        self._rotary = cast("Rotary", transformer.rotary)
        self._vocabulary_size = transformer.config.vocabulary_size
        self._held: list[Tensor] = []
        layers = [cast("DecoderLayer", layer) for layer in transformer.layers]
        self._layers = (LayerStruct * len(layers))(*map(self._describe_layer, layers))
        self._network = self._describe(transformer)

    @property
    def kernels_name(self) -> str:
        """The kernels in use, by the kind of CPU they are for."""
        return kernels_name() or ""

    def run_pass(self, rows: Sequence[PassRow], keys_LPKDS: Tensor, values_LPKSD: Tensor) -> Tensor:
        """Log-probabilities `logprobs_NV` of all rows' loud tokens; writes the new slots' pages.

        Pages hold 64 slots of float16, keys with the slots innermost, values with the head
        innermost. Raises `MemoryError` where there is no room for scratch, with nothing written.
        """
        assert keys_LPKDS.dtype == values_LPKSD.dtype == torch.float16, "pages of another type"
        pieces, token_ids, pages = array("i"), array("i"), array("i")
        n_positions = 0
        for row in rows:
            n_tokens = len(row.token_ids)
            pieces.extend((n_tokens, row.n_cached, row.n_silent, len(row.pages)))
            token_ids.extend(row.token_ids)
            pages.extend(row.pages)
            n_positions = max(n_positions, row.n_cached + n_tokens)
        self._rotary.grow(n_positions)
        n_loud = len(token_ids) - sum(row.n_silent for row in rows)
        logprobs_LV = torch.empty(n_loud, self._vocabulary_size)
        best_L = torch.empty(n_loud, dtype=torch.int32)
        a_pass = PassStruct(
            n_pieces=len(rows),
            n_tokens=len(token_ids),
            n_loud=n_loud,
            pieces=pieces.buffer_info()[0],
            token_ids=token_ids.buffer_info()[0],
            pages=pages.buffer_info()[0],
            cos_PD=self._rotary.cos_PD.data_ptr(),
            sin_PD=self._rotary.sin_PD.data_ptr(),
            keys=keys_LPKDS.data_ptr(),
            values=values_LPKSD.data_ptr(),
            n_pages=keys_LPKDS.shape[1],
            logprobs=logprobs_LV.data_ptr(),
            best=best_L.data_ptr(),
        )
        self._workspace.check(
            self._library.fimble_run_pass(
                ctypes.byref(self._network), ctypes.byref(a_pass), self._workspace.address
            )
        )
        return logprobs_LV

    def _describe(self, transformer: Transformer) -> NetworkStruct:
        config = transformer.config
        embedding = transformer.embedding.weight.detach()
        return NetworkStruct(
            n_layers=config.n_layers,
            width=config.width,
            n_query_heads=config.n_query_heads,
            n_key_heads=config.n_key_heads,
            head_size=config.head_size,
            inner_width=config.feed_forward_width,
            n_vocabulary=config.vocabulary_size,
            embedding_number=_EMBEDDING_NUMBERS[embedding.dtype],
            norm_epsilon=config.norm_epsilon,
            embedding=self._hold(embedding),
            layers=self._layers,
            final_gain=self._gain(transformer.final_norm),
            head=_panels(transformer.head).struct,
        )

    def _describe_layer(self, layer: DecoderLayer) -> LayerStruct:
        norm = layer.head_norm
        return LayerStruct(
            attention_gain=self._gain(layer.attention_norm),
            qkv=_panels(layer.qkv).struct,
            query_gain=None if norm is None else self._hold(norm.query_weight.detach()),
            key_gain=None if norm is None else self._hold(norm.key_weight.detach()),
            output=_panels(layer.output).struct,
            feed_forward_gain=self._gain(layer.feed_forward_norm),
            gate_up=_panels(layer.gate_up).struct,
            down=_panels(layer.down).struct,
        )

    def _gain(self, norm: RmsNorm | LayerNorm | None) -> int:
        assert norm is not None, "a layer without a norm"
        return self._hold(norm.weight.detach())

    def _hold(self, tensor: Tensor) -> int:
        assert tensor.is_contiguous(), "a parameter that does not lie close"
        self._held.append(tensor)
        return tensor.data_ptr()


def _panels(module: object) -> PanelLinear:
    assert isinstance(module, PanelLinear), "a linear layer that does not lie in panels"
    return module
