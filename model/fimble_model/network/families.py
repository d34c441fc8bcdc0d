"""Which checkpoint families we can run: their config.json to `NetworkConfig`, and their key names.

Owns the table of families and every name that other people's checkpoints use. Reads no files and
never imports torch; shapes are plain tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.errors import CheckpointError
from fimble_model.network.config import NetworkConfig
from fimble_model.network.stored_levels import states_int8

__all__ = [
    "FAMILIES",
    "Family",
    "Part",
    "build_config_values",
    "build_parts",
    "is_derived_key",
    "parse_config",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a `model_type` implies beyond the numbers in its config.json.

    `qkv_bias` None means that `attention_bias` decides for q, k, v and the output alike.
    """

    model_type: str
    architecture: str
    qkv_bias: bool | None = None
    qk_norm: bool = False
    reads_mlp_bias: bool = False


FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        Family(model_type="llama", architecture="LlamaForCausalLM", reads_mlp_bias=True),
        Family(model_type="qwen2", architecture="Qwen2ForCausalLM", qkv_bias=True),
        Family(model_type="qwen3", architecture="Qwen3ForCausalLM", qk_norm=True),
    )
}


class Part(NamedTuple):
    """One checkpoint tensor; the parts of a parameter are stacked along their first axis."""

    key: str
    shape: tuple[int, ...]


def parse_config(values: Mapping[str, object]) -> NetworkConfig:
    """The config that a checkpoint's config.json describes.

    Raises `CheckpointError` for families and features that the network does not have: computing
    something near to what the model's makers meant would give bad completions without a word.
    """
    family = _find_family(values)
    _refuse_features(values)
    width = _count(values, "hidden_size")
    n_query_heads = _count(values, "num_attention_heads")
    attention_bias = _flag(values, "attention_bias")
    return NetworkConfig(
        n_layers=_count(values, "num_hidden_layers"),
        width=width,
        n_query_heads=n_query_heads,
        n_key_heads=_count(values, "num_key_value_heads", n_query_heads),
        head_size=_head_size(values, width, n_query_heads),
        feed_forward_width=_count(values, "intermediate_size"),
        vocabulary_size=_count(values, "vocab_size"),
        max_positions=_count(values, "max_position_embeddings"),
        rope_theta=_rope_theta(values),
        norm_epsilon=_number(values, "rms_norm_eps", 1e-6),
        tied_embeddings=_flag(values, "tie_word_embeddings"),
        qkv_bias=attention_bias if family.qkv_bias is None else family.qkv_bias,
        output_bias=attention_bias if family.qkv_bias is None else False,
        mlp_bias=family.reads_mlp_bias and _flag(values, "mlp_bias"),
        qk_norm=family.qk_norm,
    )


def build_config_values(config: NetworkConfig) -> dict[str, object]:
    """The config.json of a checkpoint of ours, in the words of the family that fits it.

    `parse_config(build_config_values(config)) == config`. Raises `CheckpointError` where no
    family can say what the config says.
    """
    for family in FAMILIES.values():
        values = _values_in(family, config)
        if parse_config(values) == config:
            return values
    raise CheckpointError(
        expected=f"a network that one of {_supported()} can describe",
        found=f"{config}",
        to_do="Change its biases or its head norm to those of one family.",
    )


def build_parts(config: NetworkConfig) -> dict[str, tuple[Part, ...]]:
    """Our parameter names, each with the checkpoint tensors that it is stacked from.

    The families in the table name their tensors alike, so the config is all it takes.
    """
    vocabulary = (config.vocabulary_size, config.width)
    parts: dict[str, tuple[Part, ...]] = {
        "embedding.weight": (Part("model.embed_tokens.weight", vocabulary),)
    }
    for layer_index in range(config.n_layers):
        theirs = f"model.layers.{layer_index}."
        for name, layer_parts in _layer_parts(config).items():
            parts[f"layers.{layer_index}.{name}"] = tuple(
                Part(theirs + key, shape) for key, shape in layer_parts
            )
    parts["final_norm.weight"] = (Part("model.norm.weight", (config.width,)),)
    parts["head.weight"] = (Part("lm_head.weight", vocabulary),)
    return parts


def is_derived_key(key: str) -> bool:
    """True for tensors that old exports wrote although they follow from the config."""
    return key.endswith(".rotary_emb.inv_freq")


def _layer_parts(config: NetworkConfig) -> dict[str, tuple[Part, ...]]:
    width, inner = config.width, config.feed_forward_width
    heads = config.n_query_heads * config.head_size
    keys = config.n_key_heads * config.head_size
    norms: dict[str, tuple[Part, ...]] = {
        "attention_norm.weight": (Part("input_layernorm.weight", (width,)),),
        "feed_forward_norm.weight": (Part("post_attention_layernorm.weight", (width,)),),
    }
    if config.qk_norm:
        norms["head_norm.query_weight"] = (Part("self_attn.q_norm.weight", (config.head_size,)),)
        norms["head_norm.key_weight"] = (Part("self_attn.k_norm.weight", (config.head_size,)),)
    qkv = (("self_attn.q_proj", heads), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys))
    gate_up = (("mlp.gate_proj", inner), ("mlp.up_proj", inner))
    return (
        norms
        | _linear_parts("qkv", qkv, width, config.qkv_bias)
        | _linear_parts("output", (("self_attn.o_proj", width),), heads, config.output_bias)
        | _linear_parts("gate_up", gate_up, width, config.mlp_bias)
        | _linear_parts("down", (("mlp.down_proj", width),), inner, config.mlp_bias)
    )


def _linear_parts(
    name: str, theirs: tuple[tuple[str, int], ...], n_inputs: int, has_bias: bool
) -> dict[str, tuple[Part, ...]]:
    weight = tuple(Part(f"{key}.weight", (n_outputs, n_inputs)) for key, n_outputs in theirs)
    bias = tuple(Part(f"{key}.bias", (n_outputs,)) for key, n_outputs in theirs)
    return {f"{name}.weight": weight} | ({f"{name}.bias": bias} if has_bias else {})


def _values_in(family: Family, config: NetworkConfig) -> dict[str, object]:
    return {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_query_heads,
        "num_key_value_heads": config.n_key_heads,
        "head_dim": config.head_size,
        "intermediate_size": config.feed_forward_width,
        "vocab_size": config.vocabulary_size,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied_embeddings,
        "attention_bias": config.output_bias,
        "mlp_bias": config.mlp_bias,
    }


def _find_family(values: Mapping[str, object]) -> Family:
    model_type = values.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise CheckpointError(
            expected=f"model_type to be one of {_supported()}",
            found="no model_type" if model_type is None else f"{model_type!r}",
            to_do="Choose a model of one of these families.",
        )
    return family


def _supported() -> str:
    return ", ".join(sorted(FAMILIES))


def _refuse_features(values: Mapping[str, object]) -> None:
    if (activation := values.get("hidden_act", "silu")) != "silu":
        raise _unsupported("hidden_act to be 'silu'", f"{activation!r}")
    if values.get("use_sliding_window"):
        raise _unsupported("attention over the whole context", "use_sliding_window")
    if (stored := values.get("quantization_config")) and not states_int8(stored):
        raise _unsupported(
            "float weights, or int8 as fimble-train writes it", "another quantization_config"
        )
    if values.get("partial_rotary_factor", 1.0) != 1.0:
        raise _unsupported("rotary over whole heads", "a partial_rotary_factor")


def _head_size(values: Mapping[str, object], width: int, n_query_heads: int) -> int:
    if values.get("head_dim") is not None:
        return _count(values, "head_dim")
    if width % n_query_heads:
        raise CheckpointError(
            expected="head_dim, or a hidden_size that the attention heads divide evenly",
            found=f"no head_dim, hidden_size {width} and {n_query_heads} heads",
            to_do="The config.json is damaged; fetch or export the model again.",
        )
    return width // n_query_heads


def _rope_theta(values: Mapping[str, object]) -> float:
    """Theta from `rope_parameters` (transformers 5) or from the top level (before)."""
    theta = _number(values, "rope_theta", 10_000.0)
    for name in ("rope_parameters", "rope_scaling"):
        rope = values.get(name)
        if rope is None:
            continue
        if not isinstance(rope, Mapping):
            raise _malformed(name, "an object", rope)
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise _unsupported("rotary without scaling", f"{name} of type {kind!r}")
        theta = _number(rope, "rope_theta", theta)
    return theta


def _count(values: Mapping[str, object], name: str, default: int | None = None) -> int:
    found = values.get(name)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int):
        raise _malformed(name, "a whole number", found)
    return found


def _number(values: Mapping[str, object], name: str, default: float) -> float:
    found = values.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _malformed(name, "a number", found)
    return float(found)


def _flag(values: Mapping[str, object], name: str) -> bool:
    found = values.get(name, False)
    if not isinstance(found, bool):
        raise _malformed(name, "true or false", found)
    return found


def _malformed(name: str, expected: str, found: object) -> CheckpointError:
    return CheckpointError(
        expected=f"{name} in config.json to be {expected}",
        found="nothing" if found is None else f"{found!r:.40}",
        to_do="The config.json is damaged; fetch or export the model again.",
    )


def _unsupported(expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        expected=expected,
        found=found,
        to_do="Fimble does not run this kind of checkpoint yet; choose another model.",
    )
