"""From a model's name or folder to an engine that has answered once.

Owns the order of loading and its progress. Imports torch, and what needs it, only when `load`
is called; reads the small files first, so that a bad folder is told apart at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fimble_model.engine.memory_cap import MemoryShares
from fimble_model.engine.protocol import Clock, Engine
from fimble_model.errors import UnsupportedError
from fimble_model.finding import FoundModel, find_model
from fimble_model.gguf_file.header import forget_header
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.model_statements import (
    Stated,
    bytes_per_stored_number,
    load_text,
    read_config,
    states,
)
from fimble_model.network.families import parse_config
from fimble_model.self_test import TestedItem, refuse_junk, run_self_test
from fimble_model.store.pulling import PullProgress
from fimble_model.warming import warm_up

if TYPE_CHECKING:
    from fimble_model.network.device import Placement
    from fimble_model.text.fim_format import FimFormat
    from fimble_model.text.tokenizer import Tokenizer

__all__ = ["LoadProgress", "Stated", "load", "load_text", "read_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """What is being done, and the share of the loading that lies behind, from 0 to 1."""

    message: str
    done: float


def load(
    name_or_dir: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    n_threads: int | None = None,
    cache_bytes: int | None = None,
    cap_bytes: int | None = None,
    speculates: bool = True,
    clock: Clock | None = None,
    stated: Stated | None = None,
    gpu_wishes: GpuWishes | None = None,
    on_progress: Callable[[LoadProgress], None] | None = None,
    on_tested: Callable[[TestedItem], None] | None = None,
) -> Engine:
    """An engine over a shipped model, a folder or a hub's model, warm for the first key.

    A network of a kind that is not ours runs through transformers, more slowly. `cache_bytes`
    bounds keys and values, None by the network's size; `cap_bytes` these, the weights and the
    project's index together. Without `speculates` each token takes a pass: for measuring. `stated`
    is what the user says of the model, `gpu_wishes` how a card is used. The calling thread's own;
    `on_progress` is called there, `on_tested` with each item of the self-test. `CheckpointError`:
    a bad model; `DeviceError`: what this machine lacks; `HubError`: a model that is nowhere.
    """
    report, stated = on_progress or (lambda progress: None), stated or Stated()
    found = find_model(name_or_dir, _reporter_of_pulls(report), stated.runs_code_of)
    report(LoadProgress(message="reading the tokenizer", done=0.0))
    values = read_config(found.folder)
    tokenizer, fim_format = load_text(found, values, stated)
    runs_code = None if _is_native(values) else _may_run_code(values, str(name_or_dir), stated)
    report(LoadProgress(message="starting torch", done=0.1))
    from fimble_model.network.device import choose_placement

    parts = _Parts(
        found=found,
        values=values,
        placement=choose_placement(device=device, dtype=dtype, n_threads=n_threads),
        tokenizer=tokenizer,
        fim_format=fim_format,
        cache_bytes=cache_bytes,
        cap_bytes=cap_bytes,
        speculates=speculates,
        clock=clock,
        gpu_wishes=gpu_wishes or GpuWishes(),
    )
    engine = _build(parts, report, runs_code, dtype)
    report(LoadProgress(message="warming up", done=0.99))
    _test(engine, values, on_tested)
    report(LoadProgress(message="ready", done=1.0))
    return engine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What an engine is built from besides its network."""

    found: FoundModel
    values: Mapping[str, object]
    placement: Placement
    tokenizer: Tokenizer
    fim_format: FimFormat
    cache_bytes: int | None
    cap_bytes: int | None
    speculates: bool
    clock: Clock | None
    gpu_wishes: GpuWishes


def _build(
    parts: _Parts, report: Callable[[LoadProgress], None], runs_code: bool | None, dtype: str
) -> Engine:
    try:
        if runs_code is None:
            return _build_native(parts, report)
        return _build_through_transformers(parts, report, runs_code=runs_code, wants_dtype=dtype)
    finally:
        forget_header()


def _build_native(parts: _Parts, report: Callable[[LoadProgress], None]) -> Engine:
    from fimble_model.assembly import assemble_engine, refuse_native_lack_of_memory
    from fimble_model.network.weights import load_network

    refuse_native_lack_of_memory(
        parse_config(parts.values),
        parts.placement,
        stored_bytes_per_number=bytes_per_stored_number(parts.values),
        cache_bytes=parts.cache_bytes,
        cap_bytes=parts.cap_bytes,
    )
    transformer = load_network(parts.found.folder, parts.placement, _reporter_of_weights(report))
    return assemble_engine(
        name=parts.found.name,
        transformer=transformer,
        placement=parts.placement,
        tokenizer=parts.tokenizer,
        fim_format=parts.fim_format,
        cache_bytes=parts.cache_bytes,
        cap_bytes=parts.cap_bytes,
        speculates=parts.speculates,
        clock=parts.clock,
        gpu_wishes=parts.gpu_wishes._replace(on_progress=_reporter_of_graphs(report)),
    )


def _build_through_transformers(
    parts: _Parts,
    report: Callable[[LoadProgress], None],
    *,
    runs_code: bool,
    wants_dtype: str,
) -> Engine:
    from fimble_model.assembly import refuse_lack_of_memory
    from fimble_model.backends.transformers_assembly import assemble_transformers_engine
    from fimble_model.backends.transformers_loading import (
        choose_dtype,
        load_causal_lm,
        reckon_stored_bytes,
    )
    from fimble_model.network.held_weights import held_weight_bytes

    placement = choose_dtype(parts.placement, wants_dtype)
    n_numbers = reckon_stored_bytes(parts.found.folder) // bytes_per_stored_number(parts.values)
    weight_bytes = n_numbers * placement.compute.itemsize
    refuse_lack_of_memory(weight_bytes, _share_out(parts, weight_bytes), placement)
    report(LoadProgress(message="reading the weights through transformers", done=0.2))
    network = load_causal_lm(parts.found.folder, placement, runs_code=runs_code)
    shares = _share_out(parts, held_weight_bytes(network))
    return assemble_transformers_engine(
        name=parts.found.name,
        network=network,
        placement=placement,
        tokenizer=parts.tokenizer,
        fim_format=parts.fim_format,
        cache_bytes=shares.cache_bytes,
        speculates=parts.speculates,
        clock=parts.clock,
    )


def _share_out(parts: _Parts, weight_bytes: int) -> MemoryShares:
    """What a network of others' gets beside its weights: most are too large for an index."""
    from fimble_model.engine.kv_cache import DEFAULT_CACHE_BYTES
    from fimble_model.engine.memory_cap import share_out_memory

    return share_out_memory(
        parts.cap_bytes,
        MemoryShares(parts.cache_bytes or DEFAULT_CACHE_BYTES, 0),
        weight_bytes=weight_bytes,
        page_bytes=1,
    )


def _may_run_code(values: Mapping[str, object], name: str, stated: Stated) -> bool:
    from fimble_model.backends.transformers_loading import may_run_code

    return may_run_code(values, name, stated.runs_code_of)


def _is_native(values: Mapping[str, object]) -> bool:
    """Whether our own network runs what config.json describes. Raises where that is damaged."""
    try:
        parse_config(values)
    except UnsupportedError:
        return False
    return True


def _test(
    engine: Engine, values: Mapping[str, object], on_tested: Callable[[TestedItem], None] | None
) -> None:
    """Warm the engine up, and refuse a model that would write junk."""
    warm_up(engine)
    for item in run_self_test(engine, is_untrained=states(values, "untrained")):
        if on_tested is not None:
            on_tested(item)
        refuse_junk(item)


def _reporter_of_pulls(report: Callable[[LoadProgress], None]) -> Callable[[PullProgress], None]:
    """Fetching has a bar of its own: loading begins anew after it."""

    def report_bytes(progress: PullProgress) -> None:
        n_total = max(progress.n_total_bytes, 1)
        message = f"fetching {progress.file} ({n_total / 2**30:.2f} GiB in all)"
        report(LoadProgress(message=message, done=progress.n_bytes / n_total))

    return report_bytes


def _reporter_of_weights(report: Callable[[LoadProgress], None]) -> Callable[[float], None]:
    def report_share(share: float) -> None:
        report(LoadProgress(message="reading the weights", done=0.5 + 0.4 * share))

    return report_share


def _reporter_of_graphs(report: Callable[[LoadProgress], None]) -> Callable[[float], None]:
    def report_share(share: float) -> None:
        report(LoadProgress(message="making the GPU ready", done=0.9 + 0.09 * share))

    return report_share
