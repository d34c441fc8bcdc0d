"""The parts of an engine put together: network, cache, text codec and what is known of them.

Owns nothing but the fitting. Needs torch; `loading` and tests come here with their parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.kv_cache import KvCache, KvLayout, KvRows, choose_cache_bytes
from fimble_model.engine.memories import Memories, pays_for
from fimble_model.engine.memory import DEFAULT_MEMORY_BYTES
from fimble_model.engine.memory_cap import CardCap, MemoryShares, share_out_memory
from fimble_model.engine.pieces import PassRunner
from fimble_model.engine.protocol import Clock, ModelInfo
from fimble_model.engine.ragged_pass import RaggedRunner
from fimble_model.engine.scheduler import PassLimits, choose_limits
from fimble_model.engine.speculation import Speculation, SpeculationPort
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.memory_need import MemoryNeed, find_free_bytes, refuse_too_large
from fimble_model.network.config import NetworkConfig
from fimble_model.network.cost import cost_of
from fimble_model.network.device import Placement
from fimble_model.network.held_weights import held_weight_bytes, reckon_weight_bytes
from fimble_model.network.native.network import why_not_native
from fimble_model.network.transformer import Transformer
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer
from fimble_model.text.vocabulary import refuse_larger

if TYPE_CHECKING:
    from fimble_model.gpu.parts import GpuParts

__all__ = [
    "assemble_engine",
    "build_memories",
    "build_speculation",
    "layout_of",
    "refuse_lack_of_memory",
    "refuse_native_lack_of_memory",
]


def assemble_engine(
    *,
    name: str,
    transformer: Transformer,
    placement: Placement,
    tokenizer: Tokenizer,
    fim_format: FimFormat,
    cache_bytes: int | None = None,
    cap_bytes: int | None = None,
    limits: PassLimits | None = None,
    clock: Clock | None = None,
    has_memory: bool | None = None,
    speculates: bool = True,
    speculation: SpeculationPort | None = None,
    gpu_wishes: GpuWishes | None = None,
    gpu_parts: GpuParts | None = None,
) -> NativeEngine:
    """An engine with nothing cached. Raises `CheckpointError` where the parts do not fit.

    `cap_bytes` bounds weights, cache and project memory (`DeviceError` where that cannot be).
    With `has_memory` None, a small network gets a project memory and a large one does not.
    Without `speculates` every token takes a pass; it is there to measure against. On a CUDA
    device `cache_bytes` counts only where the fused path does not serve the network. `gpu_parts`
    are taken instead of what the device would get.
    """
    config = transformer.config
    refuse_larger(tokenizer, config.vocabulary_size)
    has_memory = pays_for(config.n_parameters) if has_memory is None else has_memory
    clock, is_on_cpu = clock or SystemClock(), placement.torch_device.type == "cpu"
    limits = limits or choose_limits(n_parameters=config.n_parameters, is_on_cpu=is_on_cpu)
    layout = layout_of(transformer, placement)
    held_bytes = held_weight_bytes(transformer)
    shares = _share_out(cap_bytes, cache_bytes, held_bytes, layout, has_memory=has_memory)
    if gpu_parts is None and not is_on_cpu:
        cap = _card_cap(cap_bytes, shares, held_bytes)
        gpu_parts = _try_build_gpu_parts(transformer, layout, clock, limits, gpu_wishes, cap)
    cache, runner = gpu_parts or _build_parts(transformer, layout, shares.cache_bytes)
    kernels = "fused" if gpu_parts is not None else _kernels_name(transformer)
    model = _describe(name, transformer, placement, fim_format, cache.max_row_tokens, kernels)
    return NativeEngine(
        cost=cost_of(config, model.bytes_per_weight, cache.layout.bytes_per_token),
        runner=runner,
        model=model,
        codec=FimCodec(tokenizer, fim_format),
        cache=cache,
        limits=limits,
        clock=clock,
        memories=build_memories(tokenizer, shares.index_bytes) if has_memory else None,
        speculation=(speculation or build_speculation(tokenizer)) if speculates else None,
    )


def _build_parts(
    transformer: Transformer, layout: KvLayout, cache_bytes: int
) -> tuple[KvRows, PassRunner]:
    cache = KvCache(layout, cache_bytes)
    return cache, RaggedRunner(transformer, cache.pool)


def _try_build_gpu_parts(
    transformer: Transformer,
    layout: KvLayout,
    clock: Clock,
    limits: PassLimits,
    wishes: GpuWishes | None,
    cap: CardCap,
) -> GpuParts | None:
    """What serves on a CUDA device, warm; None where the network must run on torch's kernels."""
    from fimble_model.gpu.parts import try_build_parts

    wishes = wishes or GpuWishes()
    parts = try_build_parts(
        transformer,
        layout,
        clock=clock,
        n_most_rows=limits.max_rows,
        cache_share=wishes.cache_share,
        has_graphs=wishes.has_graphs,
        cap=cap,
    )
    if parts is not None:
        parts.runner.warm_up(wishes.on_progress)
    return parts


def _card_cap(cap_bytes: int | None, shares: MemoryShares, weight_bytes: int) -> CardCap:
    left_bytes = None if cap_bytes is None else cap_bytes - shares.index_bytes
    return CardCap(left_bytes, weight_bytes)


def _kernels_name(transformer: Transformer) -> str:
    return "torch" if transformer.native is None else transformer.native.kernels_name


def _describe(
    name: str,
    transformer: Transformer,
    placement: Placement,
    fim_format: FimFormat,
    context_tokens: int,
    kernels: str,
) -> ModelInfo:
    return ModelInfo(
        name=name,
        device=placement.device,
        dtype=placement.dtype.value,
        n_parameters=transformer.config.n_parameters,
        context_tokens=context_tokens,
        vocabulary_size=transformer.config.vocabulary_size,
        fim_family=fim_format.family,
        fim_orders=tuple(order.value for order in fim_format.orders),
        kernels=kernels,
    )


def layout_of(transformer: Transformer, placement: Placement) -> KvLayout:
    """The shape of a network's slots where it is placed."""
    is_native = transformer.native is not None
    return _layout_for(transformer.config, placement, is_native=is_native)


def _layout_for(config: NetworkConfig, placement: Placement, *, is_native: bool) -> KvLayout:
    return KvLayout(
        n_layers=config.n_layers,
        n_key_heads=config.n_key_heads,
        head_size=config.head_size,
        max_tokens=config.max_positions,
        dtype=torch.float16 if is_native else placement.compute,
        device=placement.torch_device,
    )


def refuse_native_lack_of_memory(
    config: NetworkConfig,
    placement: Placement,
    *,
    stored_bytes_per_number: int,
    cache_bytes: int | None,
    cap_bytes: int | None,
) -> None:
    """Raise `DeviceError` where a network that is not loaded yet would not fit, with the figures.

    Neither under the cap nor into what the machine, or its card, has free now.
    """
    is_native = placement.wants_native and why_not_native(config) is None
    layout = _layout_for(config, placement, is_native=is_native)
    weight_bytes = reckon_weight_bytes(
        config, placement, stored_bytes_per_number=stored_bytes_per_number
    )
    has_memory = pays_for(config.n_parameters)
    shares = _share_out(cap_bytes, cache_bytes, weight_bytes, layout, has_memory=has_memory)
    refuse_lack_of_memory(weight_bytes, shares, placement)


def refuse_lack_of_memory(weight_bytes: int, shares: MemoryShares, placement: Placement) -> None:
    """Raise `DeviceError` for more than is free where the network is placed."""
    need = MemoryNeed(
        weight_bytes=weight_bytes, cache_bytes=shares.cache_bytes, index_bytes=shares.index_bytes
    )
    if placement.device == "cpu":
        refuse_too_large(need, find_free_bytes(), "this machine")
    else:
        free_bytes, _ = torch.cuda.mem_get_info(placement.torch_device)
        refuse_too_large(need, free_bytes, placement.device)


def build_speculation(tokenizer: Tokenizer) -> SpeculationPort:
    """Drafts for a model of this vocabulary."""
    return Speculation(tokenizer.control_ids.values())


def _share_out(
    cap_bytes: int | None,
    cache_bytes: int | None,
    weight_bytes: int,
    layout: KvLayout,
    *,
    has_memory: bool,
) -> MemoryShares:
    return share_out_memory(
        cap_bytes,
        MemoryShares(
            choose_cache_bytes(layout) if cache_bytes is None else cache_bytes,
            DEFAULT_MEMORY_BYTES if has_memory else 0,
        ),
        weight_bytes=weight_bytes,
        page_bytes=layout.bytes_per_page,
    )


def build_memories(tokenizer: Tokenizer, budget_bytes: int = DEFAULT_MEMORY_BYTES) -> Memories:
    """A project memory in this vocabulary, within a budget."""
    return Memories(lambda text: tokenizer.encode_words_inside(text).token_ids, budget_bytes)
