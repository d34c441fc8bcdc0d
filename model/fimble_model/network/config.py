"""The shape of a network as one frozen value, and what makes such a shape impossible.

Owns `NetworkConfig`. Knows neither files nor checkpoint families, and never imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from fimble_model.errors import CheckpointError

__all__ = ["NetworkConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Everything the forward pass depends on besides the weights.

    `qkv_bias`, `output_bias` and `mlp_bias` say which projections add a bias; `qk_norm` says
    whether each query and key head is normalised before rotary. `max_positions` is the longest
    row, in tokens, that the checkpoint was made for.
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
        if self.head_size % 2:
            raise _impossible(
                "an even head size, for rotary turns pairs", f"a head size of {self.head_size}"
            )
        if self.rope_theta <= 0 or self.norm_epsilon <= 0:
            raise _impossible(
                "rope_theta and norm_epsilon above 0",
                f"{self.rope_theta} and {self.norm_epsilon}",
            )

    @property
    def n_heads_per_key(self) -> int:
        """How many query heads share one key head."""
        return self.n_query_heads // self.n_key_heads

    @property
    def n_parameters(self) -> int:
        """How many numbers a checkpoint of this shape holds, a tied head counted once."""
        heads_width = self.n_query_heads * self.head_size
        qkv_width = heads_width + 2 * self.n_key_heads * self.head_size
        layer = self.width * (qkv_width + heads_width + 3 * self.feed_forward_width + 2)
        layer += self.qkv_bias * qkv_width + self.output_bias * self.width
        layer += self.mlp_bias * (2 * self.feed_forward_width + self.width)
        layer += self.qk_norm * 2 * self.head_size
        n_vocabularies = 1 if self.tied_embeddings else 2
        return (
            self.n_layers * layer + n_vocabularies * self.vocabulary_size * self.width + self.width
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


def _impossible(expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        expected=expected,
        found=found,
        to_do="The checkpoint's config.json is damaged; fetch or export the model again.",
    )
