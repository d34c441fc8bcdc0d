"""An engine over a network of transformers: the same engine, with other slots.

Owns nothing but the fitting.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fimble_model.assembly import build_memories, build_speculation
from fimble_model.backends.cropped_rows import CacheKind, CroppedRows
from fimble_model.backends.transformers_runner import TransformersRunner
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.memories import pays_for
from fimble_model.engine.protocol import BackEnd, Clock, ModelInfo
from fimble_model.engine.scheduler import choose_limits
from fimble_model.engine.speculation import SpeculationPort
from fimble_model.network.device import Placement, count_cores, plan_threads
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.tokenizer import Tokenizer
from fimble_model.text.vocabulary import refuse_larger

__all__ = ["assemble_transformers_engine"]

_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
# Kinds of rotary scaling with one set of factors up to some length, and another beyond it.
_SWITCHING = ("longrope", "su")
# Where config.json bounds no row: what a keystroke's prompt needs at the most.
_DEFAULT_CONTEXT_TOKENS = 4096


def assemble_transformers_engine(
    *,
    name: str,
    network: nn.Module,
    placement: Placement,
    tokenizer: Tokenizer,
    fim_format: FimFormat,
    cache_bytes: int,
    speculates: bool = True,
    clock: Clock | None = None,
) -> NativeEngine:
    """An engine with nothing cached. Raises `CheckpointError` where parts do not fit."""
    config: Any = network.config
    vocabulary_size = int(config.get_text_config().vocab_size)
    refuse_larger(tokenizer, vocabulary_size)
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    _set_threads(placement, n_parameters)
    runner = TransformersRunner(network, vocabulary_size=vocabulary_size)
    cache = CroppedRows(
        max_tokens=_context_tokens(config),
        bytes_per_token=runner.bytes_per_slot,
        bytes_per_row=runner.bytes_per_row,
        budget_bytes=cache_bytes,
        device=placement.torch_device,
        kind=runner.kind,
    )
    model = ModelInfo(
        name=name,
        device=placement.device,
        dtype=placement.dtype.value,
        n_parameters=n_parameters,
        context_tokens=cache.max_row_tokens,
        vocabulary_size=vocabulary_size,
        fim_family=fim_format.family,
        fim_orders=tuple(order.value for order in fim_format.orders),
        kernels="transformers",
        back_end=BackEnd.TRANSFORMERS,
    )
    return NativeEngine(
        cost=runner.cost,
        runner=runner,
        model=model,
        codec=FimCodec(tokenizer, fim_format),
        cache=cache,
        limits=choose_limits(n_parameters=n_parameters, is_on_cpu=placement.device == "cpu"),
        clock=clock,
        memories=build_memories(tokenizer) if pays_for(n_parameters) else None,
        speculation=_try_build_speculation(tokenizer, runner) if speculates else None,
    )


def _try_build_speculation(
    tokenizer: Tokenizer, runner: TransformersRunner
) -> SpeculationPort | None:
    """A draft that is wrong must be rolled back, which only a cropped cache does cheaply."""
    return build_speculation(tokenizer) if runner.kind is CacheKind.CROPPED else None


def _context_tokens(config: Any) -> int:
    config = config.get_text_config()
    found = (getattr(config, name, None) for name in _CONTEXT_NAMES)
    sizes = [size for size in found if isinstance(size, int) and size > 0]
    rope = getattr(config, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings")
    if rope.get("rope_type") in _SWITCHING and isinstance(original, int):
        # Past this length every key would have to be turned anew: cached ones would be wrong.
        sizes.append(original)
    return min(sizes, default=_DEFAULT_CONTEXT_TOKENS)


def _set_threads(placement: Placement, n_parameters: int) -> None:
    if placement.n_threads is not None:
        torch.set_num_threads(placement.n_threads)
    elif placement.device == "cpu":
        torch.set_num_threads(plan_threads(n_parameters=n_parameters, n_cores=count_cores()))
