"""The parts of an engine put together: network, cache, text codec and what is known of them.

Owns nothing but the fitting. Needs torch; `loading` and tests come here with their parts.
"""

from __future__ import annotations

import torch

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.kv_cache import DEFAULT_CACHE_BYTES, KvCache, KvLayout
from fimble_model.engine.memories import Memories, pays_for
from fimble_model.engine.protocol import Clock, ModelInfo
from fimble_model.engine.ragged_pass import RaggedRunner
from fimble_model.engine.scheduler import PassLimits, choose_limits
from fimble_model.engine.speculation import Speculation, SpeculationPort
from fimble_model.errors import CheckpointError
from fimble_model.network.cost import cost_of
from fimble_model.network.device import Placement
from fimble_model.network.transformer import Transformer
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer

__all__ = [
    "DEFAULT_CACHE_BYTES",
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
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    limits: PassLimits | None = None,
    clock: Clock | None = None,
    has_memory: bool | None = None,
    speculates: bool = True,
    speculation: SpeculationPort | None = None,
) -> NativeEngine:
    """An engine with nothing cached. Raises `CheckpointError` where the parts do not fit.

    With `has_memory` None, a small network gets a project memory and a large one does not.
    Without `speculates` every token takes a pass; it is there to measure against.
    """
    config = transformer.config
    refuse_larger(tokenizer, config.vocabulary_size)
    if has_memory is None:
        has_memory = pays_for(config.n_parameters)
    cache = KvCache(layout_of(transformer, placement), cache_bytes)
    model = ModelInfo(
        name=name,
        device=placement.device,
        dtype=placement.dtype.value,
        n_parameters=config.n_parameters,
        context_tokens=cache.max_row_tokens,
        vocabulary_size=config.vocabulary_size,
        fim_family=fim_format.family,
        fim_orders=tuple(order.value for order in fim_format.orders),
        kernels="torch" if transformer.native is None else transformer.native.kernels_name,
    )
    return NativeEngine(
        cost=cost_of(config, model.bytes_per_weight, cache.layout.bytes_per_token),
        runner=RaggedRunner(transformer, cache.pool),
        model=model,
        codec=FimCodec(tokenizer, fim_format),
        cache=cache,
        limits=limits
        or choose_limits(
            n_parameters=config.n_parameters, is_on_cpu=placement.torch_device.type == "cpu"
        ),
        clock=clock,
        memories=build_memories(tokenizer) if has_memory else None,
        speculation=(speculation or build_speculation(tokenizer)) if speculates else None,
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


def build_memories(tokenizer: Tokenizer) -> Memories:
    """A project memory in this vocabulary."""
    return Memories(lambda text: tokenizer.encode_words_inside(text).token_ids)
