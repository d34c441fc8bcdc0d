"""The tensors of a checkpoint under other people's names, and the parameter each is part of.

Owns every tensor name that a family uses, and how its rows lie. Reads no files and never imports
torch; shapes are plain tuples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.network.architecture import Experts, NormKind, Positions, Residual
from fimble_model.network.config import NetworkConfig

__all__ = [
    "BIGCODE_NAMES",
    "FALCON_NAMES",
    "LLAMA_NAMES",
    "STABLELM_NAMES",
    "STARCODER2_NAMES",
    "Part",
    "TensorNames",
    "build_parts",
    "from_groups",
    "is_derived_key",
    "to_groups",
]


class Part(NamedTuple):
    """One checkpoint tensor; the parts of a parameter are stacked along their first axis.

    `n_groups` above 1 says that its rows hold, for each key head, that head's queries, its key
    and its value; we hold all queries, then all keys, then all values.
    """

    key: str
    shape: tuple[int, ...]
    n_groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNames:
    """A family's names, without `.weight` and `.bias`; those of a layer stand after `layer`.

    `qkv` are one matrix each, or one fused matrix. `gate` is unused where nothing is gated.
    `parallel_norms` are attention's and the feed-forward's where they run side by side.
    `head_norms` take the place of the head, of query or key, where each has one of its own.
    """

    embedding: str = "model.embed_tokens"
    positions: str = ""
    layer: str = "model.layers.{}."
    final_norm: str = "model.norm"
    head: str = "lm_head"
    attention_norm: str = "input_layernorm"
    feed_forward_norm: str = "post_attention_layernorm"
    parallel_norms: tuple[str, str] = ("ln_attn", "ln_mlp")
    qkv: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    output: str = "self_attn.o_proj"
    head_norms: tuple[str, str] = ("self_attn.q_norm", "self_attn.k_norm")
    gate: str = "mlp.gate_proj"
    up: str = "mlp.up_proj"
    down: str = "mlp.down_proj"
    router: str = "mlp.gate"
    expert: str = "mlp.experts.{}."


LLAMA_NAMES = TensorNames()
STARCODER2_NAMES = TensorNames(up="mlp.c_fc", down="mlp.c_proj")
STABLELM_NAMES = TensorNames(
    head_norms=("self_attn.q_layernorm.norms.{}", "self_attn.k_layernorm.norms.{}")
)
BIGCODE_NAMES = TensorNames(
    embedding="transformer.wte",
    positions="transformer.wpe",
    layer="transformer.h.{}.",
    final_norm="transformer.ln_f",
    attention_norm="ln_1",
    feed_forward_norm="ln_2",
    qkv=("attn.c_attn",),
    output="attn.c_proj",
    up="mlp.c_fc",
    down="mlp.c_proj",
)
FALCON_NAMES = TensorNames(
    embedding="transformer.word_embeddings",
    layer="transformer.h.{}.",
    final_norm="transformer.ln_f",
    qkv=("self_attention.query_key_value",),
    output="self_attention.dense",
    up="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
)

_Parts = dict[str, tuple[Part, ...]]


def build_parts(
    config: NetworkConfig, names: TensorNames = LLAMA_NAMES
) -> dict[str, tuple[Part, ...]]:
    """Our parameter names, each with the checkpoint tensors that it is stacked from."""
    vocabulary = (config.vocabulary_size, config.width)
    parts: _Parts = {"embedding.weight": (Part(f"{names.embedding}.weight", vocabulary),)}
    if config.positions is Positions.LEARNED:
        shape = (config.max_positions, config.width)
        parts["learned_positions.weight"] = (Part(f"{names.positions}.weight", shape),)
    for layer_index in range(config.n_layers):
        theirs = names.layer.format(layer_index)
        for name, layer_parts in _layer_parts(config, names, layer_index).items():
            parts[f"layers.{layer_index}.{name}"] = tuple(
                part._replace(key=theirs + part.key) for part in layer_parts
            )
    parts |= _norm_parts("final_norm", names.final_norm, config)
    parts["head.weight"] = (Part(f"{names.head}.weight", vocabulary),)
    return parts


def is_derived_key(key: str) -> bool:
    """True for tensors that old exports wrote although they follow from the config."""
    return key.endswith((".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"))


def from_groups(config: NetworkConfig) -> list[int]:
    """Of each of our rows of q, k and v, the row where a family that groups them keeps it.

    Grouped, each key head's rows are its query heads', then its key's, then its value's.
    """
    D, n_grouped = config.head_size, config.n_heads_per_key  # noqa: N806  shape key
    queries = [
        (key_head * (n_grouped + 2) + index) * D + row
        for key_head in range(config.n_key_heads)
        for index in range(n_grouped)
        for row in range(D)
    ]
    keys, values = (
        [
            (key_head * (n_grouped + 2) + place) * D + row
            for key_head in range(config.n_key_heads)
            for row in range(D)
        ]
        for place in (n_grouped, n_grouped + 1)
    )
    return queries + keys + values


def to_groups(config: NetworkConfig) -> list[int]:
    """The inverse of `from_groups`."""
    inverse = [0] * len(rows := from_groups(config))
    for ours, theirs in enumerate(rows):
        inverse[theirs] = ours
    return inverse


def _layer_parts(config: NetworkConfig, names: TensorNames, layer_index: int) -> _Parts:
    return (
        _layer_norm_parts(config, names)
        | _qkv_parts(config, names)
        | _head_norm_parts(config, names)
        | _linear_parts(
            "output",
            ((names.output, config.width),),
            config.n_query_heads * config.head_size,
            config.output_bias,
        )
        | _feed_forward_parts(config, names, config.experts_of(layer_index))
    )


def _layer_norm_parts(config: NetworkConfig, names: TensorNames) -> _Parts:
    attention, feed_forward = names.attention_norm, names.feed_forward_norm
    if config.residual is Residual.PARALLEL:
        attention, feed_forward = names.parallel_norms
    parts = _norm_parts("attention_norm", attention, config)
    if config.residual is Residual.PARALLEL_ONE_NORM:
        return parts
    return parts | _norm_parts("feed_forward_norm", feed_forward, config)


def _norm_parts(name: str, theirs: str, config: NetworkConfig) -> _Parts:
    ends = ("weight", "bias") if config.norm is NormKind.LAYER else ("weight",)
    return {f"{name}.{end}": (Part(f"{theirs}.{end}", (config.width,)),) for end in ends}


def _head_norm_parts(config: NetworkConfig, names: TensorNames) -> _Parts:
    if not config.qk_norm:
        return {}
    parts: _Parts = {}
    n_heads = (config.n_query_heads, config.n_key_heads)
    for name, theirs, n in zip(("query", "key"), names.head_norms, n_heads, strict=True):
        n_gains = n if config.qk_norm_per_head else 1
        parts[f"head_norm.{name}_weight"] = tuple(
            Part(f"{theirs.format(index)}.weight", (config.head_size,)) for index in range(n_gains)
        )
    return parts


def _qkv_parts(config: NetworkConfig, names: TensorNames) -> _Parts:
    heads = config.n_query_heads * config.head_size
    keys = config.n_key_heads * config.head_size
    if len(names.qkv) > 1:
        theirs = tuple(zip(names.qkv, (heads, keys, keys), strict=True))
        return _linear_parts("qkv", theirs, config.width, config.qkv_bias)
    parts = _linear_parts("qkv", ((names.qkv[0], heads + 2 * keys),), config.width, config.qkv_bias)
    return {
        name: tuple(part._replace(n_groups=config.n_key_heads) for part in fused)
        for name, fused in parts.items()
    }


def _feed_forward_parts(
    config: NetworkConfig, names: TensorNames, experts: Experts | None
) -> _Parts:
    if experts is None:
        return _plain_parts(config, names, config.feed_forward_width)
    router = Part(f"{names.router}.weight", (experts.n_experts, config.width))
    parts: _Parts = {"experts.router.weight": (router,)}
    for expert_index in range(experts.n_experts):
        theirs = names.expert.format(expert_index)
        for name, expert_parts in _plain_parts(config, names, experts.width).items():
            parts[f"experts.parts.{expert_index}.{name}"] = tuple(
                part._replace(key=theirs + part.key.removeprefix("mlp.")) for part in expert_parts
            )
    return parts


def _plain_parts(config: NetworkConfig, names: TensorNames, inner: int) -> _Parts:
    width, has_bias = config.width, config.mlp_bias
    down = _linear_parts("down", ((names.down, width),), inner, has_bias)
    if not config.gated:
        return _linear_parts("up", ((names.up, inner),), width, has_bias) | down
    gate_up = ((names.gate, inner), (names.up, inner))
    return _linear_parts("gate_up", gate_up, width, has_bias) | down


def _linear_parts(
    name: str, theirs: tuple[tuple[str, int], ...], n_inputs: int, has_bias: bool
) -> _Parts:
    weight = tuple(Part(f"{key}.weight", (n_outputs, n_inputs)) for key, n_outputs in theirs)
    bias = tuple(Part(f"{key}.bias", (n_outputs,)) for key, n_outputs in theirs)
    return {f"{name}.weight": weight} | ({f"{name}.bias": bias} if has_bias else {})
