"""Which checkpoint families we run: their config.json to `NetworkConfig`, and their tensors' names.

Owns the table of families. A row says in which words a family's config.json is written, what its
entries are where they are missing (as in transformers, which leaves some out), and what its name
alone implies. Reads no files and never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fimble_model.errors import CheckpointError, UnsupportedError
from fimble_model.network.architecture import Positions
from fimble_model.network.config import NetworkConfig
from fimble_model.network.config_values import (
    Values,
    read_count,
    read_flag,
    read_number,
    unsupported,
)
from fimble_model.network.family_features import (
    read_activation,
    refine_falcon,
    refine_gemma,
    refine_gpt_bigcode,
    refine_granite,
    refine_llama,
    refine_mistral,
    refine_qwen2,
    refine_qwen3,
    refine_qwen3_moe,
    refine_stablelm,
    refine_starcoder2,
)
from fimble_model.network.rope_values import read_rope_scaling, read_rope_theta
from fimble_model.network.stored_levels import states_int8
from fimble_model.network.tensor_names import (
    BIGCODE_NAMES,
    FALCON_NAMES,
    LLAMA_NAMES,
    STABLELM_NAMES,
    STARCODER2_NAMES,
    TensorNames,
)

__all__ = ["FAMILIES", "Family", "build_config_values", "find_family", "parse_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A `model_type`: its words for the sizes, its defaults, and `refine` for the rest.

    `refine` is given config.json and a network of the common kind with the right sizes.
    `is_ours` marks those that our own checkpoints are written in.
    """

    model_type: str
    architecture: str
    refine: Callable[[Values, NetworkConfig], NetworkConfig]
    names: TensorNames = LLAMA_NAMES
    width: str = "hidden_size"
    n_layers: str = "num_hidden_layers"
    n_heads: str = "num_attention_heads"
    n_key_heads: str | None = "num_key_value_heads"
    inner: str = "intermediate_size"
    inner_per_width: int | None = None
    max_positions: str = "max_position_embeddings"
    epsilon: str = "rms_norm_eps"
    default_epsilon: float = 1e-6
    activation: str = "hidden_act"
    default_activation: str = "silu"
    ties_by_default: bool = False
    head_size_by_default: int | None = None
    positions: Positions = Positions.ROTARY
    is_ours: bool = False


def parse_config(values: Values) -> NetworkConfig:
    """The config that a checkpoint's config.json describes.

    Raises `CheckpointError` for families and features that the network does not have: computing
    something near to what the model's makers meant would give bad completions without a word.
    """
    family = find_family(values)
    if (stored := values.get("quantization_config")) and not states_int8(stored):
        raise unsupported(
            "float weights, or int8 as fimble-train writes it", "another quantization_config"
        )
    config = family.refine(values, _parse_sizes(family, values))
    if config.window is not None and config.window >= config.max_positions:
        config = replace(config, window=None, full_layers=frozenset())
    return config


def find_family(values: Values) -> Family:
    """The family of a config.json. Raises `CheckpointError` for one that we do not run."""
    model_type = values.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise UnsupportedError(
            expected=f"model_type to be one of {', '.join(sorted(FAMILIES))}",
            found="no model_type" if model_type is None else f"{model_type!r}",
            to_do="Choose a model of one of these families.",
        )
    return family


def build_config_values(config: NetworkConfig) -> dict[str, object]:
    """The config.json of a checkpoint of ours, in the words of the family that fits it.

    `parse_config(build_config_values(config)) == config`. Raises `CheckpointError` where no
    family can say what the config says.
    """
    ours = [family for family in FAMILIES.values() if family.is_ours]
    for family in ours:
        values = _values_in(family, config)
        if parse_config(values) == config:
            return values
    raise CheckpointError(
        expected=f"a network that {', '.join(family.model_type for family in ours)} can describe",
        found=f"{config}",
        to_do="Change its biases or its head norm to those of one family.",
    )


def _parse_sizes(family: Family, values: Values) -> NetworkConfig:
    width = read_count(values, family.width)
    n_query_heads = read_count(values, family.n_heads)
    max_positions = read_count(values, family.max_positions)
    inner = None if family.inner_per_width is None else family.inner_per_width * width
    return NetworkConfig(
        n_layers=read_count(values, family.n_layers),
        width=width,
        n_query_heads=n_query_heads,
        n_key_heads=n_query_heads
        if family.n_key_heads is None
        else read_count(values, family.n_key_heads, n_query_heads),
        head_size=_read_head_size(family, values, width, n_query_heads),
        feed_forward_width=read_count(values, family.inner, inner),
        vocabulary_size=read_count(values, "vocab_size"),
        max_positions=max_positions,
        norm_epsilon=read_number(values, family.epsilon, family.default_epsilon),
        tied_embeddings=read_flag(values, "tie_word_embeddings", default=family.ties_by_default),
        activation=read_activation(values, family.activation, family.default_activation),
        positions=family.positions,
        rope_theta=read_rope_theta(values),
        rope_scaling=read_rope_scaling(values, max_positions),
    )


def _read_head_size(family: Family, values: Values, width: int, n_query_heads: int) -> int:
    if values.get("head_dim") is not None:
        return read_count(values, "head_dim")
    if family.head_size_by_default is not None:
        return family.head_size_by_default
    if n_query_heads < 1 or width % n_query_heads:
        raise CheckpointError(
            expected=f"head_dim, or a {family.width} that the attention heads divide evenly",
            found=f"no head_dim, {family.width} {width} and {n_query_heads} heads",
            to_do="The config.json is damaged; fetch or export the model again.",
        )
    return width // n_query_heads


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


FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        Family(
            model_type="llama", architecture="LlamaForCausalLM", refine=refine_llama, is_ours=True
        ),
        Family(
            model_type="qwen2", architecture="Qwen2ForCausalLM", refine=refine_qwen2, is_ours=True
        ),
        Family(
            model_type="qwen3", architecture="Qwen3ForCausalLM", refine=refine_qwen3, is_ours=True
        ),
        Family(model_type="qwen3_moe", architecture="Qwen3MoeForCausalLM", refine=refine_qwen3_moe),
        Family(model_type="mistral", architecture="MistralForCausalLM", refine=refine_mistral),
        Family(model_type="granite", architecture="GraniteForCausalLM", refine=refine_granite),
        Family(
            model_type="gemma",
            architecture="GemmaForCausalLM",
            refine=refine_gemma,
            default_activation="gelu_pytorch_tanh",
            ties_by_default=True,
            head_size_by_default=256,
        ),
        Family(
            model_type="stablelm",
            architecture="StableLmForCausalLM",
            refine=refine_stablelm,
            names=STABLELM_NAMES,
            epsilon="layer_norm_eps",
            default_epsilon=1e-5,
        ),
        Family(
            model_type="starcoder2",
            architecture="Starcoder2ForCausalLM",
            refine=refine_starcoder2,
            names=STARCODER2_NAMES,
            epsilon="norm_epsilon",
            default_epsilon=1e-5,
            default_activation="gelu_pytorch_tanh",
            ties_by_default=True,
        ),
        Family(
            model_type="gpt_bigcode",
            architecture="GPTBigCodeForCausalLM",
            refine=refine_gpt_bigcode,
            names=BIGCODE_NAMES,
            width="n_embd",
            n_layers="n_layer",
            n_heads="n_head",
            n_key_heads=None,
            inner="n_inner",
            inner_per_width=4,
            max_positions="n_positions",
            epsilon="layer_norm_epsilon",
            default_epsilon=1e-5,
            activation="activation_function",
            default_activation="gelu_pytorch_tanh",
            ties_by_default=True,
            positions=Positions.LEARNED,
        ),
        Family(
            model_type="falcon",
            architecture="FalconForCausalLM",
            refine=refine_falcon,
            names=FALCON_NAMES,
            n_key_heads=None,
            inner="ffn_hidden_size",
            inner_per_width=4,
            epsilon="layer_norm_epsilon",
            default_epsilon=1e-5,
            activation="activation",
            default_activation="gelu",
            ties_by_default=True,
        ),
    )
}
