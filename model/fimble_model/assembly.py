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
from fimble_model.engine.memory_cap import MemoryShares, share_out_memory
from fimble_model.engine.pieces import PassRunner
from fimble_model.engine.protocol import Clock, ModelInfo
from fimble_model.engine.ragged_pass import RaggedRunner
from fimble_model.engine.scheduler import PassLimits, choose_limits
from fimble_model.engine.speculation import Speculation, SpeculationPort
from fimble_model.errors import CheckpointError
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.network.cost import cost_of
from fimble_model.network.device import Placement
from fimble_model.network.held_weights import held_weight_bytes
from fimble_model.network.transformer import Transformer
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from fimble_model.gpu.parts import GpuParts

__all__ = [
    "assemble_engine",
    "build_memories",
    "build_speculation",
    "layout_of",
    "refuse_larger",
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
    clock = clock or SystemClock()
    is_on_cpu = placement.torch_device.type == "cpu"
    limits = limits or choose_limits(n_parameters=config.n_parameters, is_on_cpu=is_on_cpu)
    layout = layout_of(transformer, placement)
    if gpu_parts is None and not is_on_cpu:
        wishes = gpu_wishes or GpuWishes()
        gpu_parts = _try_build_gpu_parts(transformer, layout, clock, limits.max_rows, wishes)
    shares = _share_out(cap_bytes, cache_bytes, transformer, layout, has_memory=has_memory)
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
    n_most_rows: int,
    wishes: GpuWishes,
) -> GpuParts | None:
    """What serves on a CUDA device, warm; None where the network must run on torch's kernels."""
    from fimble_model.gpu.parts import try_build_parts

    parts = try_build_parts(
        transformer,
        layout,
        clock=clock,
        n_most_rows=n_most_rows,
        cache_share=wishes.cache_share,
        has_graphs=wishes.has_graphs,
    )
    if parts is not None:
        parts.runner.warm_up(wishes.on_progress)
    return parts


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


def refuse_larger(tokenizer: Tokenizer, vocabulary_size: int) -> None:
    """Raise `CheckpointError` for a tokenizer that has ids which the network lacks."""
    if tokenizer.n_ids > vocabulary_size:
        raise CheckpointError(
            expected=f"a tokenizer of at most {vocabulary_size} tokens, as in config.json",
            found=f"one of {tokenizer.n_ids}",
            to_do="The folder mixes two models' files; fetch or export the model again.",
        )


def layout_of(transformer: Transformer, placement: Placement) -> KvLayout:
    """The shape of a network's slots where it is placed."""
    config = transformer.config
    return KvLayout(
        n_layers=config.n_layers,
        n_key_heads=config.n_key_heads,
        head_size=config.head_size,
        max_tokens=config.max_positions,
        dtype=placement.compute if transformer.native is None else torch.float16,
        device=placement.torch_device,
    )


def build_speculation(tokenizer: Tokenizer) -> SpeculationPort:
    """Drafts for a model of this vocabulary."""
    return Speculation(tokenizer.control_ids.values())


def _share_out(
    cap_bytes: int | None,
    cache_bytes: int | None,
    transformer: Transformer,
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
        weight_bytes=held_weight_bytes(transformer),
        page_bytes=layout.bytes_per_page,
    )


def build_memories(tokenizer: Tokenizer, budget_bytes: int = DEFAULT_MEMORY_BYTES) -> Memories:
    """A project memory in this vocabulary, within a budget."""
    return Memories(lambda text: tokenizer.encode_words_inside(text).token_ids, budget_bytes)
