"""A network with its weights in place: from a checkpoint, from a seed, and out again.

Owns where each parameter goes and in which type. Tensors are read one by one, straight to where
they serve and rounded on the way, so that loading needs little more memory than serving. Reads no
files itself.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fimble_model.network.checkpoint import open_checkpoint
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement, count_cores, plan_threads
from fimble_model.network.levels import Levels
from fimble_model.network.native.linear import PanelLinear
from fimble_model.network.native.network import NativeNetwork, why_not_native
from fimble_model.network.native.tuning import choose_threads
from fimble_model.network.quantization import Int8Linear
from fimble_model.network.rotary import Rotary
from fimble_model.network.tensor_names import LLAMA_NAMES, TensorNames, build_parts, to_groups
from fimble_model.network.transformer import Transformer
from fimble_model.network.weight_only import WeightOnlyLinear

__all__ = ["load_network", "random_network", "to_checkpoint_tensors"]

log = logging.getLogger(__name__)

# A parameter by its name; None for the type asks for the one it is stored in.
_Read = Callable[[str, torch.dtype | None], Tensor]
# A linear layer's matrix by its name: in whole levels where that is asked for and can be had.
_ReadMatrix = Callable[[str, bool], Tensor | Levels]
_OnProgress = Callable[[float], None]


def load_network(
    folder: Path, placement: Placement, on_progress: _OnProgress | None = None
) -> Transformer:
    """The network of a checkpoint folder, frozen, ready to serve on `placement`.

    `on_progress` is told the share of the parameters in place, from 0 to 1. Sets the number of
    torch's threads for the whole process. Raises `CheckpointError`.
    """
    with open_checkpoint(folder) as checkpoint:

        def read_matrix(name: str, in_levels: bool) -> Tensor | Levels:
            if in_levels or checkpoint.has_levels(name):
                return checkpoint.read_levels(name)
            return checkpoint.read(name, torch.float32)

        # Straight to where it serves: nothing but the file's own pages lies on the host.
        read = functools.partial(checkpoint.read, device=placement.torch_device)
        return _build(checkpoint.config, read, read_matrix, placement, on_progress)


def random_network(config: NetworkConfig, placement: Placement, seed: int = 0) -> Transformer:
    """A frozen network of random weights: for benchmarks, and for tests of the machinery.

    On a GPU it is drawn there, so that the largest takes seconds; other numbers for the same seed.
    """
    if placement.device != "cpu":
        draw = _reader_on_device(config, placement, seed)
        return _build(config, draw, lambda name, _: draw(name, torch.float32), placement, None)
    source = Transformer(config)
    source.initialise(seed)
    parameters = dict(source.named_parameters())

    def read(name: str, dtype: torch.dtype | None) -> Tensor:
        return parameters[name].detach().to(dtype or torch.float32, copy=True)

    return _build(config, read, lambda name, _: read(name, torch.float32), placement, None)


def _reader_on_device(config: NetworkConfig, placement: Placement, seed: int) -> _Read:
    with torch.device("meta"):
        shapes = {name: each.shape for name, each in Transformer(config).named_parameters()}
    generator = torch.Generator(device=placement.torch_device).manual_seed(seed)

    def read(name: str, dtype: torch.dtype | None) -> Tensor:
        dtype = dtype or placement.compute
        tensor = torch.empty(shapes[name], dtype=dtype, device=placement.torch_device)
        if len(shapes[name]) == 1:
            return tensor.fill_(0.0 if name.endswith("bias") else 1.0)
        return tensor.normal_(0.0, 0.02, generator=generator)

    return read


def to_checkpoint_tensors(
    transformer: Transformer, names: TensorNames = LLAMA_NAMES
) -> dict[str, Tensor]:
    """A float network's parameters under a family's names and in its shapes.

    Detached; views of the parameters where their rows lie in the same order. A tied head is left
    out. Safetensors wants them `contiguous()`.
    """
    parameters = dict(transformer.named_parameters())
    tensors: dict[str, Tensor] = {}
    for name, parts in build_parts(transformer.config, names).items():
        start = 0
        for part in parts if name in parameters else ():
            end = start + part.shape[0]
            rows = parameters[name].detach()[start:end]
            if part.n_groups > 1:
                rows = rows[to_groups(transformer.config)]
            tensors[part.key] = rows
            start = end
    return tensors


class _Slot(NamedTuple):
    """A module that holds parameters, where it hangs, and its name."""

    parent: nn.Module
    attribute: str
    module: nn.Module
    name: str


def _build(
    config: NetworkConfig,
    read: _Read,
    read_matrix: _ReadMatrix,
    placement: Placement,
    on_progress: _OnProgress | None,
) -> Transformer:
    _set_threads(config, placement)
    is_native = _is_native(config, placement)
    # On the meta device the modules take no memory until their parameters come.
    with torch.device("meta"):
        transformer = Transformer(config)
    if transformer.rotary is not None:
        transformer.rotary = Rotary(config).to(placement.torch_device)
        if placement.device != "cpu":
            # Growing looks at the positions, and on a GPU a look waits for all work under way.
            transformer.rotary.grow(config.max_positions)
    slots = _find_slots(transformer)
    for index, slot in enumerate(slots):
        _place(slot, config, read, read_matrix, placement, is_native=is_native)
        if on_progress:
            on_progress((index + 1) / len(slots))
    if config.tied_embeddings and not _rounds(placement):
        transformer.head.weight = transformer.embedding.weight
    if is_native:
        transformer.native = NativeNetwork(transformer)
        choose_threads(transformer.native, config, placement.n_threads)
    return transformer.eval()


def _rounds(placement: Placement) -> bool:
    return placement.dtype in (Dtype.INT8, Dtype.FP8)


def _is_native(config: NetworkConfig, placement: Placement) -> bool:
    if not placement.wants_native:
        return False
    reason = why_not_native(config)
    if reason is not None:
        log.warning("this network runs on torch's kernels, more slowly: it has %s", reason)
    return reason is None


def _set_threads(config: NetworkConfig, placement: Placement) -> None:
    if placement.n_threads is not None:
        torch.set_num_threads(placement.n_threads)
    elif placement.device == "cpu":
        n_parameters, n_cores = config.n_parameters, count_cores()
        torch.set_num_threads(plan_threads(n_parameters=n_parameters, n_cores=n_cores))


def _find_slots(transformer: Transformer) -> list[_Slot]:
    modules = dict(transformer.named_modules())
    slots = []
    for name, module in modules.items():
        if any(True for _ in module.parameters(recurse=False)):
            parent_name, _, attribute = name.rpartition(".")
            slots.append(_Slot(modules[parent_name], attribute, module, name))
    return slots


def _place(
    slot: _Slot,
    config: NetworkConfig,
    read: _Read,
    read_matrix: _ReadMatrix,
    placement: Placement,
    *,
    is_native: bool,
) -> None:
    is_tied_head = slot.name == "head" and config.tied_embeddings
    is_int8 = _rounds(placement)
    if isinstance(slot.module, nn.Linear) and is_int8:
        weight_name = "embedding.weight" if is_tied_head else f"{slot.name}.weight"
        has_bias = slot.module.bias is not None
        if placement.is_weight_only:
            bias = read(f"{slot.name}.bias", placement.compute) if has_bias else None
            rounded = WeightOnlyLinear(
                read(weight_name, torch.float32), bias, is_fp8=placement.dtype is Dtype.FP8
            )
            setattr(slot.parent, slot.attribute, rounded.to(placement.torch_device))
            return
        bias = read(f"{slot.name}.bias", torch.float32) if has_bias else None
        weight = read_matrix(weight_name, is_native)
        is_paired = slot.attribute == "gate_up"
        linear = (
            PanelLinear(weight, bias, is_paired=is_paired)
            if is_native
            else Int8Linear(weight, bias)
        )
        setattr(slot.parent, slot.attribute, linear)
        return
    if is_tied_head:
        return
    # Rows of the embedding are only looked up: stored as they came, they widen without loss.
    is_lookup = isinstance(slot.module, nn.Embedding) and is_int8
    dtype = None if is_lookup else placement.compute
    for name, _ in list(slot.module.named_parameters(recurse=False)):
        tensor = read(f"{slot.name}.{name}", dtype).to(placement.torch_device)
        setattr(slot.module, name, nn.Parameter(tensor, requires_grad=False))
