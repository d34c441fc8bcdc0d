"""What each family's config.json and name say of its network, beyond the sizes.

Owns one function a family: it is given config.json and a network of the common kind with the
right sizes, and says how this one differs. Entries that are missing are as in transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fimble_model.network.architecture import Activation, Experts, NormKind, Residual
from fimble_model.network.config import NetworkConfig
from fimble_model.network.config_values import (
    Values,
    malformed,
    read_count,
    read_flag,
    read_number,
    read_optional_count,
    read_word,
    unsupported,
)
from fimble_model.network.rope_values import read_rotary_share

__all__ = [
    "read_activation",
    "refine_falcon",
    "refine_gemma",
    "refine_gpt_bigcode",
    "refine_granite",
    "refine_llama",
    "refine_mistral",
    "refine_qwen2",
    "refine_qwen3",
    "refine_qwen3_moe",
    "refine_stablelm",
    "refine_starcoder2",
]

_ACTIVATIONS: Mapping[str, Activation] = {
    "silu": Activation.SILU,
    "swish": Activation.SILU,
    "relu": Activation.RELU,
    "gelu": Activation.GELU,
    "gelu_python": Activation.GELU,
    "gelu_new": Activation.GELU_TANH,
    "gelu_fast": Activation.GELU_TANH,
    "gelu_pytorch_tanh": Activation.GELU_TANH,
}


def read_activation(values: Values, name: str, default: str) -> Activation:
    """The activation of an entry. Raises `CheckpointError` for one that the network lacks."""
    word = read_word(values, name, default)
    if word not in _ACTIVATIONS:
        raise unsupported(f"{name} to be one of {', '.join(_ACTIVATIONS)}", f"{word!r}")
    return _ACTIVATIONS[word]


def _refuse_rotary_share(values: Values) -> None:
    if read_rotary_share(values) != 1.0:
        raise unsupported("rotary over whole heads", "a partial_rotary_factor")


def refine_llama(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Biases where config.json has them."""
    _refuse_rotary_share(values)
    has_bias = read_flag(values, "attention_bias")
    return replace(
        config,
        qkv_bias=has_bias,
        output_bias=has_bias,
        mlp_bias=read_flag(values, "mlp_bias"),
    )


def refine_mistral(values: Values, config: NetworkConfig) -> NetworkConfig:
    """A window unless config.json says null."""
    _refuse_rotary_share(values)
    # Where nothing is said of a window, transformers takes 4096; "null" is no window.
    window = 4096 if "sliding_window" not in values else _read_window(values)
    return replace(config, window=window)


def refine_qwen2(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Biases at queries, keys and values."""
    _refuse_rotary_share(values)
    return _with_qwen_windows(values, replace(config, qkv_bias=True))


def refine_qwen3(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Normed heads."""
    _refuse_rotary_share(values)
    has_bias = read_flag(values, "attention_bias")
    config = replace(config, qk_norm=True, qkv_bias=has_bias, output_bias=has_bias)
    return _with_qwen_windows(values, config)


def refine_qwen3_moe(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Normed heads, and experts in most layers."""
    _refuse_rotary_share(values)
    has_bias = read_flag(values, "attention_bias")
    window = _read_window(values) if read_flag(values, "use_sliding_window") else None
    name = "num_experts" if "num_experts" in values else "num_local_experts"
    experts = Experts(
        n_experts=read_count(values, name),
        n_chosen=read_count(values, "num_experts_per_tok"),
        width=read_count(values, "moe_intermediate_size"),
        normalises=read_flag(values, "norm_topk_prob"),
        dense_layers=_read_dense_layers(values, config.n_layers),
    )
    return replace(
        config,
        qk_norm=True,
        qkv_bias=has_bias,
        output_bias=has_bias,
        window=window,
        experts=experts,
    )


def _read_dense_layers(values: Values, n_layers: int) -> frozenset[int]:
    stated = values.get("mlp_only_layers") or []
    if not isinstance(stated, list) or not all(isinstance(layer, int) for layer in stated):
        raise malformed("mlp_only_layers", "a list of layers", stated)
    step = read_count(values, "decoder_sparse_step", 1)
    if step < 1:
        raise malformed("decoder_sparse_step", "1 or more", step)
    return frozenset(layer for layer in range(n_layers) if layer in stated or (layer + 1) % step)


def refine_starcoder2(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Layer norms, biases, a plain feed-forward part, a window."""
    _refuse_rotary_share(values)
    has_bias = read_flag(values, "use_bias", default=True)
    return replace(
        config,
        norm=NormKind.LAYER,
        gated=False,
        qkv_bias=has_bias,
        output_bias=has_bias,
        mlp_bias=has_bias,
        window=_read_window(values),
    )


def refine_gpt_bigcode(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Layer norms, biases, a plain feed-forward part, one key head or one for each query head."""
    if read_flag(values, "add_cross_attention"):
        raise unsupported("a decoder alone", "add_cross_attention")
    return replace(
        config,
        n_key_heads=1 if read_flag(values, "multi_query", default=True) else config.n_query_heads,
        norm=NormKind.LAYER,
        gated=False,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        attention_scale=None if read_flag(values, "scale_attn_weights", default=True) else 1.0,
    )


def refine_gemma(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Gains around zero, an embedding scaled by the root of its width."""
    _refuse_rotary_share(values)
    if read_flag(values, "use_bidirectional_attention"):
        raise unsupported("attention to what stands before", "use_bidirectional_attention")
    has_bias = read_flag(values, "attention_bias")
    activation = config.activation
    if activation is Activation.GELU:
        # Its first checkpoints say "gelu" and mean the approximation, as transformers notes.
        activation = Activation.GELU_TANH
    if values.get("hidden_activation") is not None:
        activation = read_activation(values, "hidden_activation", "")
    return replace(
        config,
        norm_offset=1.0,
        activation=activation,
        embedding_multiplier=config.width**0.5,
        qkv_bias=has_bias,
        output_bias=has_bias,
    )


def refine_stablelm(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Layer norms, and rotary over a part of each head."""
    one_norm = read_flag(values, "use_parallel_residual")
    has_head_norms = read_flag(values, "qk_layernorm")
    return replace(
        config,
        norm=NormKind.LAYER,
        rotary_size=int(config.head_size * read_rotary_share(values, 0.25)),
        qkv_bias=read_flag(values, "use_qkv_bias"),
        qk_norm=has_head_norms,
        qk_norm_per_head=has_head_norms,
        residual=Residual.PARALLEL_ONE_NORM if one_norm else Residual.SEQUENTIAL,
    )


def refine_granite(values: Values, config: NetworkConfig) -> NetworkConfig:
    """A llama with multipliers."""
    return replace(
        refine_llama(values, config),
        embedding_multiplier=read_number(values, "embedding_multiplier", 1.0),
        residual_multiplier=read_number(values, "residual_multiplier", 1.0),
        attention_scale=read_number(values, "attention_multiplier", 1.0),
        logits_divisor=read_number(values, "logits_scaling", 1.0),
    )


def refine_falcon(values: Values, config: NetworkConfig) -> NetworkConfig:
    """Layer norms, a plain feed-forward part beside attention."""
    if read_flag(values, "alibi"):
        raise unsupported("rotary positions", "alibi")
    is_new = read_flag(values, "new_decoder_architecture")
    n_key_heads = config.n_query_heads
    if is_new:
        n_key_heads = read_count(values, "num_kv_heads", config.n_query_heads)
    elif read_flag(values, "multi_query", default=True):
        n_key_heads = 1
    has_bias = read_flag(values, "bias")
    return replace(
        config,
        n_key_heads=n_key_heads,
        norm=NormKind.LAYER,
        gated=False,
        qkv_bias=has_bias,
        output_bias=has_bias,
        mlp_bias=has_bias,
        residual=_falcon_residual(values, is_new=is_new),
    )


def _falcon_residual(values: Values, *, is_new: bool) -> Residual:
    is_parallel = read_flag(values, "parallel_attn", default=True)
    if is_new and not is_parallel:
        raise unsupported("parallel_attn with new_decoder_architecture", "parallel_attn false")
    if not is_parallel:
        return Residual.SEQUENTIAL
    if is_new and read_count(values, "num_ln_in_parallel_attn", 2) == 2:
        return Residual.PARALLEL
    return Residual.PARALLEL_ONE_NORM


def _read_window(values: Values) -> int | None:
    return read_optional_count(values, "sliding_window")


def _with_qwen_windows(values: Values, config: NetworkConfig) -> NetworkConfig:
    window = _read_window(values) if read_flag(values, "use_sliding_window") else None
    if window is None:
        return config
    layers = range(config.n_layers)
    kinds = values.get("layer_types")
    if kinds is None:
        n_full = read_count(values, "max_window_layers", 28)
        full_layers = frozenset(layers[:n_full])
    elif isinstance(kinds, list) and len(kinds) == config.n_layers:
        full_layers = frozenset(i for i in layers if kinds[i] != "sliding_attention")
    else:
        raise malformed("layer_types", f"a list of {config.n_layers} kinds", kinds)
    if len(full_layers) == config.n_layers:
        return config
    return replace(config, window=window, full_layers=full_layers)
