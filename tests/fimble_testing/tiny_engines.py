"""Small engines over random weights, and the loop that runs requests to their end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from fimble_model.assembly import assemble_engine
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.kv_cache import DEFAULT_CACHE_BYTES
from fimble_model.engine.protocol import (
    Clock,
    Delta,
    Engine,
    Finish,
    Prompt,
    Request,
    RequestId,
    Sampling,
    StopRule,
)
from fimble_model.engine.scheduler import PassLimits
from fimble_model.engine.speculation import SpeculationPort
from fimble_model.engine.stopping import NeverStop
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network
from fimble_model.text.fim_matching import find_fim_format
from fimble_model.text.tokenizer import parse_tokenizer
from fimble_testing.tiny_tokenizers import build_tokenizer_json

__all__ = [
    "TINY_CONFIG",
    "build_codec",
    "build_engine",
    "build_request",
    "last_of",
    "run_all",
    "run_alone",
]

TINY_CONFIG = NetworkConfig(
    n_layers=2,
    width=32,
    n_query_heads=4,
    n_key_heads=2,
    head_size=8,
    feed_forward_width=64,
    vocabulary_size=520,
    max_positions=320,
    qk_norm=True,
)


@cache
def _network(dtype: Dtype) -> Transformer:
    placement = Placement(device="cpu", dtype=dtype, n_threads=1)
    return random_network(TINY_CONFIG, placement, seed=0)


@cache
def build_codec(style: str) -> FimCodec:
    """The tiny tokenizer of a style and its format."""
    tokenizer = parse_tokenizer(build_tokenizer_json(style))
    fim_format = find_fim_format(
        model_type="qwen3",
        control_strings=tokenizer.control_ids.keys(),
        stated_family="fimble",
        stated_orders=("spm",) if style == "fimble" else ("psm",),
    )
    return FimCodec(tokenizer, fim_format)


def build_engine(
    *,
    style: str = "fimble",
    dtype: Dtype = Dtype.FLOAT32,
    budget_bytes: int = DEFAULT_CACHE_BYTES,
    cap_bytes: int | None = None,
    limits: PassLimits | None = None,
    clock: Clock | None = None,
    has_memory: bool | None = None,
    speculates: bool = True,
    speculation: SpeculationPort | None = None,
    codec_is_shared: bool = True,
) -> NativeEngine:
    """A new engine with nothing cached, in SPM for the Fimble style and PSM for the Qwen one."""
    codec = build_codec(style) if codec_is_shared else build_codec.__wrapped__(style)
    return assemble_engine(
        name="tiny",
        transformer=_network(dtype),
        placement=Placement(device="cpu", dtype=dtype),
        tokenizer=codec.tokenizer,
        fim_format=codec.fim_format,
        cache_bytes=budget_bytes,
        cap_bytes=cap_bytes,
        limits=limits,
        clock=clock,
        has_memory=has_memory,
        speculates=speculates,
        speculation=speculation,
    )


def build_request(
    request_id: str,
    prompt: Prompt,
    *,
    max_new_tokens: int = 8,
    stop: StopRule | None = None,
    sampling: Sampling | None = None,
    memory_scope: str | None = None,
) -> Request:
    """A request with the defaults that most laws want."""
    return Request(
        request_id=RequestId(request_id),
        prompt=prompt,
        max_new_tokens=max_new_tokens,
        stop=stop or NeverStop(),
        sampling=sampling or Sampling(),
        memory_scope=memory_scope,
    )


def run_all(engine: Engine, requests: Iterable[Request] = ()) -> dict[str, list[Delta]]:
    """Add the requests, step until no work is left, and give each request's deltas."""
    for request in requests:
        engine.add(request)
    deltas: dict[str, list[Delta]] = {}
    while engine.has_work:
        for delta in engine.step():
            deltas.setdefault(delta.request_id, []).append(delta)
    return deltas


def run_alone(engine: Engine, request: Request) -> Finish:
    """The finish of a request that has the engine for itself."""
    finish = last_of(run_all(engine, [request])[request.request_id])
    assert finish is not None
    return finish


def last_of(deltas: Sequence[Delta]) -> Finish | None:
    """The finish of the last delta; every other delta has none."""
    assert all(delta.finish is None for delta in deltas[:-1])
    return deltas[-1].finish
