"""Whether a tokenizer and a network can belong together."""

from __future__ import annotations

from fimble_model.errors import CheckpointError
from fimble_model.text.tokenizer import Tokenizer

__all__ = ["refuse_larger"]


def refuse_larger(tokenizer: Tokenizer, vocabulary_size: int) -> None:
    """Raise `CheckpointError` for a tokenizer that has ids which the network lacks.

    The other way round is common: networks are padded to round numbers.
    """
    if tokenizer.n_ids > vocabulary_size:
        raise CheckpointError(
            expected=f"a tokenizer of at most {vocabulary_size} tokens, as in config.json",
            found=f"one of {tokenizer.n_ids}",
            to_do="The folder mixes two models' files; fetch or export the model again.",
        )
