"""The parts of an engine on a GPU, fitted together: cache, decoder, runner.

Owns nothing but the fitting, and which networks get it. The engine's assembly comes here when the
network lies on a CUDA device; tests come here with one on the CPU.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch

from fimble_model.engine.kv_cache import KvLayout
from fimble_model.engine.memory_cap import CardCap
from fimble_model.engine.protocol import Clock
from fimble_model.gpu import operations
from fimble_model.gpu.card import Card, open_card
from fimble_model.gpu.decoder import FusedDecoder, why_not_fused
from fimble_model.gpu.manners import DEFAULT_CACHE_SHARE, Manners, floor_bytes_of, plan_pool_bytes
from fimble_model.gpu.pool import GpuCache
from fimble_model.gpu.runner import GpuRunner
from fimble_model.gpu.workspace import fit_under_cap, reckon_workspace_bytes
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer

__all__ = ["GpuParts", "build_parts", "try_build_parts"]

log = logging.getLogger(__name__)


class GpuParts(NamedTuple):
    """What an engine needs in place of a cache and a runner for the CPU."""

    cache: GpuCache
    runner: GpuRunner


def try_build_parts(
    transformer: Transformer,
    layout: KvLayout,
    *,
    clock: Clock,
    n_most_rows: int,
    cache_share: float | None = None,
    has_graphs: bool = True,
    cap: CardCap | None = None,
) -> GpuParts | None:
    """The parts for a network on a CUDA device; None, said once, where the fused path lacks some.

    `cache_share` is the share of the card's free memory that keys and values may take, within
    what `cap` leaves of it beside the weights. Raises `DeviceError` where that is too little.
    """
    reason = why_not_fused(transformer.config)
    if reason is not None:
        log.warning("this network runs on torch's own kernels, more slowly: it has %s", reason)
        return None
    card = open_card(layout.device)
    if has_graphs and not operations.has_triton():
        # Torch's own attention reads every page that a table could name, and a graph's name many.
        log.warning("decoding runs without CUDA graphs: triton is not installed")
        has_graphs = False
    card.give_back()
    share = DEFAULT_CACHE_SHARE if cache_share is None else cache_share
    budget_bytes, floor_bytes = _plan_budget(
        transformer.config, layout, card, share=share, n_most_rows=n_most_rows, cap=cap
    )
    return build_parts(
        transformer,
        layout,
        card=card,
        clock=clock,
        n_most_rows=n_most_rows,
        budget_bytes=budget_bytes,
        floor_bytes=floor_bytes,
        has_graphs=has_graphs,
    )


def _plan_budget(
    config: NetworkConfig,
    layout: KvLayout,
    card: Card,
    *,
    share: float,
    n_most_rows: int,
    cap: CardCap | None,
) -> tuple[int, int]:
    """Bytes for the pages, and those that are left to others at the least."""
    free_bytes = card.free_bytes()
    assert free_bytes is not None, "a card knows what is free"
    properties = torch.cuda.get_device_properties(card.device)
    floor_bytes = floor_bytes_of(properties.total_memory)
    planned_bytes = plan_pool_bytes(
        layout,
        free_bytes=free_bytes,
        share=share,
        floor_bytes=floor_bytes,
        n_most_rows=n_most_rows,
    )
    workspace_bytes = reckon_workspace_bytes(
        config, layout, n_most_rows=n_most_rows, n_processors=properties.multi_processor_count
    )
    budget_bytes = fit_under_cap(
        cap or CardCap(None, 0),
        planned_bytes,
        workspace_bytes=workspace_bytes,
        page_bytes=layout.bytes_per_page,
    )
    return budget_bytes, floor_bytes


def build_parts(
    transformer: Transformer,
    layout: KvLayout,
    *,
    card: Card,
    clock: Clock,
    n_most_rows: int,
    budget_bytes: int,
    floor_bytes: int = 0,
    has_graphs: bool = True,
    looks_ahead: bool | None = None,
) -> GpuParts:
    """The parts within a budget. Nothing is captured before the runner's `warm_up`."""
    cache = GpuCache(layout, budget_bytes)
    manners = Manners(layout, n_most_pages=cache.pool.n_pages, floor_bytes=floor_bytes)
    runner = GpuRunner(
        decoder=FusedDecoder(transformer, cache.pool),
        cache=cache,
        card=card,
        manners=manners,
        clock=clock,
        n_most_rows=n_most_rows,
        has_graphs=has_graphs,
        looks_ahead=looks_ahead,
    )
    return GpuParts(cache, runner)
