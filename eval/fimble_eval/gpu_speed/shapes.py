"""Networks of known shapes with random weights, and engines over them.

Owns their short names and the engines. What such a network says means nothing; how long it takes
is what the real one takes, for no kernel looks at values.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from fimble_eval.engine_speed.random_model import write_random_tokenizer
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_model.assembly import assemble_engine
from fimble_model.engine.protocol import Engine
from fimble_model.engine.scheduler import PassLimits
from fimble_model.gpu.parts import GpuParts
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.network import shapes
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network
from fimble_model.text.fim_matching import find_fim_format
from fimble_model.text.tokenizer import Tokenizer, load_tokenizer

__all__ = ["SHAPES", "TINY", "assemble", "build_engine", "config_for", "dtype_for"]


# The context cut to what is measured: a longer one only makes tables of angles longer.
_N_POSITIONS = 4096
SHAPES = {
    short: dataclasses.replace(shape, max_positions=min(shape.max_positions, _N_POSITIONS))
    for short, shape in (
        ("0.5b", shapes.SHAPES["qwen2.5-coder-0.5b"]),
        ("1.5b", shapes.SHAPES["qwen2.5-coder-1.5b"]),
        ("7b", shapes.SHAPES["qwen2.5-coder-7b"]),
        ("base", shapes.SHAPES["fimble-base"]),
    )
}

TINY = NetworkConfig(
    n_layers=2,
    width=64,
    n_query_heads=4,
    n_key_heads=2,
    head_size=16,
    feed_forward_width=128,
    vocabulary_size=16_384,
    max_positions=1024,
    qkv_bias=True,
)


def config_for(shape: str, options: GpuOptions) -> NetworkConfig:
    """The shape by its name; in a rehearsal one tiny shape stands for all."""
    return TINY if options.is_rehearsal else SHAPES[shape]


def dtype_for(options: GpuOptions, *, is_int8: bool = False) -> Dtype:
    """Bfloat16 on a GPU; a CPU rehearses in float32."""
    if options.device == "cpu":
        return Dtype.FLOAT32
    return Dtype.INT8 if is_int8 else Dtype.BFLOAT16


def build_engine(
    shape: str,
    options: GpuOptions,
    *,
    n_most_rows: int,
    cache_bytes: int = 256 * 2**20,
    is_int8: bool = False,
) -> Engine:
    """A warm engine without memory or speculation, over random weights."""
    config = config_for(shape, options)
    dtype = dtype_for(options, is_int8=is_int8)
    placement = Placement(device=options.device, dtype=dtype)
    network = random_network(config, placement)
    return assemble(
        f"random-{shape}",
        network,
        placement,
        n_most_rows=n_most_rows,
        cache_bytes=cache_bytes,
        gpu_wishes=GpuWishes(has_graphs=options.has_graphs),
    )


def assemble(
    name: str,
    network: Transformer,
    placement: Placement,
    *,
    n_most_rows: int,
    cache_bytes: int = 256 * 2**20,
    gpu_wishes: GpuWishes | None = None,
    gpu_parts: GpuParts | None = None,
) -> Engine:
    """An engine without memory or speculation over a network, its tokenizer filled up."""
    tokenizer = _tokenizer(network.config.vocabulary_size)
    return assemble_engine(
        name=name,
        transformer=network,
        placement=placement,
        tokenizer=tokenizer,
        fim_format=find_fim_format(
            model_type="qwen3",
            control_strings=tokenizer.control_ids.keys(),
            stated_family="fimble",
            stated_orders=("spm",),
        ),
        cache_bytes=cache_bytes,
        limits=PassLimits(max_rows=n_most_rows, max_tokens=2048),
        has_memory=False,
        speculates=False,
        gpu_wishes=gpu_wishes,
        gpu_parts=gpu_parts,
    )


def _tokenizer(n_ids: int) -> Tokenizer:
    with tempfile.TemporaryDirectory() as folder:
        write_random_tokenizer(Path(folder), n_ids)
        return load_tokenizer(Path(folder))
