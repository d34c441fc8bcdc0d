"""The tensors of a GGUF file under the names of a family's safetensors, dequantised one by one.

Owns the way back from what llama.cpp's converter does to them: queries and keys whose halves it
interleaves, gains that it adds 1 to, rows that it takes out of their groups, experts and head
norms that it stacks. Keeps nothing: each tensor is read when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.gguf_file.header import GgufHeader, TensorPlace
from fimble_model.network.config import NetworkConfig
from fimble_model.network.tensor_names import TensorNames, build_parts, to_groups

__all__ = ["GgufTensors", "open_tensors"]

_STACKED = re.compile(r"(?P<before>.*\.)(?P<index>\d+)\.(?P<after>(?:gate|up|down)_proj)$")
_HEAD_NORM = re.compile(
    r"(?P<layer>.*)\.self_attn\.(?P<name>[qk])_layernorm\.norms\.(?P<index>\d+)$"
)
_INTERLEAVED = frozenset({"llama", "granite"})
_FLOATS: Mapping[int, Any] = {
    int(gguf.GGMLQuantizationType.F32): np.float32,
    int(gguf.GGMLQuantizationType.F16): np.float16,
}


class _Source(NamedTuple):
    """A tensor of the file, and which one of it where several are stacked."""

    name: str
    layer: int | None = None


class GgufTensors:
    """An open file's tensors by the keys of safetensors. Keeps the map from one to the other."""

    def __init__(
        self, header: GgufHeader, numbers: np.ndarray, config: NetworkConfig, names: TensorNames
    ) -> None:
        self._header = header
        self._numbers = numbers
        self._config = config
        self._sources = _find_sources(header, config, names)

    def keys(self) -> list[str]:
        """All keys; a tensor that belongs to none has its own name."""
        used = {source.name for source in self._sources.values()}
        return [*self._sources, *(name for name in self._header.tensors if name not in used)]

    def get_tensor(self, key: str) -> Tensor:
        """A tensor in float32, or in the float type it is kept in."""
        source = self._sources.get(key, _Source(key))
        place = self._header.tensors[source.name]
        if source.layer is not None:
            place = _slice(place, source.layer)
        tensor = torch.from_numpy(_dequantise(self._numbers, place, source.name))
        return self._undo(tensor, source.name)

    def get_slice(self, key: str) -> _Widened:
        """A tensor's shape at once, and its rows once they are asked for."""
        source = self._sources.get(key, _Source(key))
        shape = self._header.tensors[source.name].shape
        return _Widened(self, key, shape if source.layer is None else shape[1:])

    def _undo(self, tensor: Tensor, name: str) -> Tensor:
        """What the converter did to it, taken back (llama.cpp's convert_hf_to_gguf.py)."""
        architecture, config = self._header.architecture, self._config
        if architecture in _INTERLEAVED and (found := re.search(r"\.attn_([qk])\.", name)):
            n_heads = config.n_query_heads if found[1] == "q" else config.n_key_heads
            shape = (n_heads, config.head_size // 2, 2, *tensor.shape[1:])
            return tensor.reshape(shape).transpose(1, 2).reshape(tensor.shape)
        if architecture == "gemma" and name.endswith("norm.weight"):
            return tensor - 1
        if architecture == "falcon" and ".attn_qkv." in name:
            return tensor[to_groups(config)]
        return tensor


class _Widened:
    """One tensor, dequantised as a whole by the first rows that are asked for."""

    def __init__(self, tensors: GgufTensors, key: str, shape: tuple[int, ...]) -> None:
        self._tensors, self._key, self._shape = tensors, key, shape
        self._tensor: Tensor | None = None

    def get_shape(self) -> list[int]:
        return list(self._shape)

    def get_dtype(self) -> str:
        """As safetensors would say it: whatever it is kept in is widened to this."""
        return "F32"

    def __getitem__(self, rows: slice) -> Tensor:
        if self._tensor is None:
            self._tensor = self._tensors.get_tensor(self._key)
        return self._tensor[rows]


@contextmanager
def open_tensors(
    header: GgufHeader, config: NetworkConfig, names: TensorNames
) -> Iterator[GgufTensors]:
    """The tensors, while the context lasts. `CheckpointError` for an unknown quantisation."""
    _refuse_unknown_kinds(header)
    yield GgufTensors(header, np.memmap(header.path, mode="r"), config, names)


def _find_sources(
    header: GgufHeader, config: NetworkConfig, names: TensorNames
) -> dict[str, _Source]:
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(architectures[header.architecture], config.n_layers)
    sources: dict[str, _Source] = {}
    for parts in build_parts(config, names).values():
        for part in parts:
            stem, _, end = part.key.rpartition(".")
            stem, index = _unstack(stem)
            theirs = known.get_name(stem)
            if theirs is not None and f"{theirs}.{end}" in header.tensors:
                sources[part.key] = _Source(f"{theirs}.{end}", index)
    return sources


def _unstack(stem: str) -> tuple[str, int | None]:
    """The name that stands for all of a stack, and the place in it."""
    if (found := _STACKED.match(stem)) and ".experts." in stem:
        return f"{found['before']}{found['after']}", int(found["index"])
    if found := _HEAD_NORM.match(stem):
        return f"{found['layer']}.self_attn.{found['name']}_layernorm", int(found["index"])
    return stem, None


def _slice(place: TensorPlace, index: int) -> TensorPlace:
    n_bytes = place.n_bytes // place.shape[0]
    return TensorPlace(place.shape[1:], place.kind, place.start_byte + index * n_bytes, n_bytes)


def _dequantise(numbers: np.ndarray, place: TensorPlace, name: str) -> np.ndarray:
    raw = numbers[place.start_byte : place.start_byte + place.n_bytes]
    if place.kind in _FLOATS:
        floats: np.ndarray = np.array(raw).view(_FLOATS[place.kind]).reshape(place.shape)
        return floats
    kind = gguf.GGMLQuantizationType(place.kind)
    rows = np.asarray(raw).reshape(*place.shape[:-1], -1)
    widened: np.ndarray = gguf.quants.dequantize(rows, kind)
    assert widened.shape == place.shape, name
    return np.ascontiguousarray(widened, dtype=np.float32)


def _refuse_unknown_kinds(header: GgufHeader) -> None:
    for name, place in header.tensors.items():
        kind = gguf.GGMLQuantizationType(place.kind)
        try:
            gguf.quants.dequantize(np.zeros(gguf.GGML_QUANT_SIZES[kind][1], dtype=np.uint8), kind)
        except (NotImplementedError, ValueError) as error:
            raise CheckpointError(
                expected="numbers that the gguf library can widen",
                found=f"{kind.name} in {name}",
                to_do="Choose a file of another quantisation, like Q8_0 or Q4_K_M.",
            ) from error
