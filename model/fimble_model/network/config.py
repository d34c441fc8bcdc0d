"""The shape of a network as one frozen value, and what makes such a shape impossible.

Owns `NetworkConfig`. Knows neither files nor checkpoint families, and never imports torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields

from fimble_model.errors import CheckpointError
from fimble_model.network.architecture import (
    Activation,
    Experts,
    NormKind,
    Positions,
    Residual,
    RopeScaling,
)

__all__ = ["NetworkConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Everything the forward pass depends on besides the weights.

    `qkv_bias`, `output_bias` and `mlp_bias` say which projections add a bias. `qk_norm` says
    whether each query and key head is normalised before rotary, and `qk_norm_per_head` whether
    each has a gain of its own. `norm_offset` is added to every gain. `max_positions` is the
    longest row, in tokens, that the checkpoint was made for. `rotary_size` None turns whole
    heads. A token sees `window` tokens up to itself, but for `full_layers`, which see all.
    `attention_scale` None is one over the root of the head size.
    """

    n_layers: int
    width: int
    n_query_heads: int
    n_key_heads: int
    head_size: int
    feed_forward_width: int
    vocabulary_size: int
    max_positions: int
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    tied_embeddings: bool = True
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    qk_norm_per_head: bool = False
    norm: NormKind = NormKind.RMS
    norm_offset: float = 0.0
    activation: Activation = Activation.SILU
    gated: bool = True
    residual: Residual = Residual.SEQUENTIAL
    positions: Positions = Positions.ROTARY
    rotary_size: int | None = None
    rope_scaling: RopeScaling | None = None
    window: int | None = None
    full_layers: frozenset[int] = frozenset()
    embedding_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    attention_scale: float | None = None
    logits_divisor: float = 1.0
    experts: Experts | None = None

    def __post_init__(self) -> None:
        """Raise `CheckpointError` for numbers that no network can have."""
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise _impossible(f"{name} of at least 1", f"{getattr(self, name)}")
        if self.n_query_heads % self.n_key_heads:
            raise _impossible(
                "query heads that divide evenly among the key heads",
                f"{self.n_query_heads} query heads and {self.n_key_heads} key heads",
            )
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _impossible(f"{name} above 0", f"{value}")
        self._refuse_odd_rotary()
        if self.experts is not None and not 1 <= self.experts.n_chosen <= self.experts.n_experts:
            raise _impossible(
                f"each token to choose 1 to {self.experts.n_experts} experts",
                f"{self.experts.n_chosen}",
            )

    def _refuse_odd_rotary(self) -> None:
        if self.positions is not Positions.ROTARY:
            return
        size = self.turned_size
        if size % 2 or not 0 < size <= self.head_size:
            what = "head size" if self.rotary_size is None else "share of each head"
            raise _impossible(
                f"an even {what}, for rotary turns pairs", f"{size} of a head size {self.head_size}"
            )

    @property
    def n_heads_per_key(self) -> int:
        """How many query heads share one key head."""
        return self.n_query_heads // self.n_key_heads

    @property
    def turned_size(self) -> int:
        """How much of a head rotary turns: its first so many numbers."""
        return self.head_size if self.rotary_size is None else self.rotary_size

    def window_of(self, layer_index: int) -> int | None:
        """How many tokens, itself included, a token sees in a layer; None for all before it."""
        return None if layer_index in self.full_layers else self.window

    def experts_of(self, layer_index: int) -> Experts | None:
        """The experts of a layer; None where it has one plain feed-forward part."""
        experts = self.experts
        return None if experts is None or layer_index in experts.dense_layers else experts

    def departures(self, but_for: Collection[str] = ()) -> tuple[str, ...]:
        """What sets this network apart from the plainest decoder, in words.

        Every field with a default counts, so that code which knows only some of them can refuse
        whatever field is added later; it names those it knows in `but_for`.
        """
        return tuple(
            f"{field.name.replace('_', ' ')} {_in_words(getattr(self, field.name))}"
            for field in fields(self)
            if field.default is not MISSING
            and field.name not in but_for
            and getattr(self, field.name) != field.default
        )

    @property
    def n_parameters(self) -> int:
        """How many numbers a checkpoint of this shape holds, a tied head counted once."""
        n_norm = self.width * (2 if self.norm is NormKind.LAYER else 1)
        n_vocabularies = 1 if self.tied_embeddings else 2
        n_rows = n_vocabularies * self.vocabulary_size
        n_rows += self.max_positions * (self.positions is Positions.LEARNED)
        n_norms = 1 if self.residual is Residual.PARALLEL_ONE_NORM else 2
        layers = sum(
            self._n_attention() + n_norms * n_norm + self._n_feed_forward(layer_index)
            for layer_index in range(self.n_layers)
        )
        return layers + n_rows * self.width + n_norm

    def _n_attention(self) -> int:
        heads_width = self.n_query_heads * self.head_size
        keys_width = self.n_key_heads * self.head_size
        qkv_width = heads_width + 2 * keys_width
        n_gains = heads_width + keys_width if self.qk_norm_per_head else 2 * self.head_size
        return (
            self.width * (qkv_width + heads_width)
            + self.qkv_bias * qkv_width
            + self.output_bias * self.width
            + self.qk_norm * n_gains
        )

    def _n_feed_forward(self, layer_index: int) -> int:
        n_matrices = 3 if self.gated else 2
        experts = self.experts_of(layer_index)
        if experts is not None:
            return experts.n_experts * self.width * (n_matrices * experts.width + 1)
        inner = self.feed_forward_width
        return n_matrices * inner * self.width + self.mlp_bias * (
            (n_matrices - 1) * inner + self.width
        )


_COUNTS = (
    "n_layers",
    "width",
    "n_query_heads",
    "n_key_heads",
    "head_size",
    "feed_forward_width",
    "vocabulary_size",
    "max_positions",
)
_ABOVE_ZERO = (
    "rope_theta",
    "norm_epsilon",
    "window",
    "attention_scale",
    "logits_divisor",
    "embedding_multiplier",
    "residual_multiplier",
)


def _in_words(value: object) -> str:
    return str(getattr(value, "value", value))


def _impossible(expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        expected=expected,
        found=found,
        to_do="The checkpoint's config.json is damaged; fetch or export the model again.",
    )
