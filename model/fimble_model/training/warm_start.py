"""Starting from a model that exists: its weights, and its embeddings carried to a new tokenizer.

Owns the transplant. The layers are taken as they are; each new token begins as the mean of the
old tokens that spell it (Gee et al. 2022, "Fast Vocabulary Transfer", section 3).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import choose_placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import load_network
from fimble_model.text.byte_alphabet import try_token_bytes
from fimble_model.training.growth import deepen
from fimble_model.training.tokenizer import load_tokenizer

__all__ = ["load_float_network", "load_starting_weights", "transplant_embedding"]


def load_float_network(folder: Path) -> Transformer:
    """A model folder's network in float32 on the CPU; leaves the number of threads as it is."""
    placement = choose_placement(device="cpu", dtype="float32", n_threads=torch.get_num_threads())
    return load_network(folder, placement)


def load_starting_weights(
    folder: Path, config: NetworkConfig, tokenizer: Tokenizer
) -> dict[str, Tensor]:
    """Weights for a network of `config`, by our names, from a model folder of the same layers.

    A deeper recipe gets more layers that add nothing yet (`growth`). Raises `TrainingError` where
    the shapes differ in anything but vocabulary, context and a larger number of layers.
    """
    network = load_float_network(folder)
    old = network.config
    same = replace(old, vocabulary_size=config.vocabulary_size, max_positions=config.max_positions)
    learned = {name: p.detach().float() for name, p in network.named_parameters()}
    weights = deepen(learned, same, config)
    old_tokenizer = load_tokenizer(folder / "tokenizer.json")
    if old_tokenizer.get_vocab() != tokenizer.get_vocab():
        weights["embedding.weight"] = transplant_embedding(
            weights["embedding.weight"], old_tokenizer, tokenizer
        )
    return weights


def transplant_embedding(old_VE: Tensor, old: Tokenizer, new: Tokenizer) -> Tensor:
    """The rows of the new vocabulary: a token both have keeps its row."""
    vocabulary = new.get_vocab()
    rows = torch.empty(len(vocabulary), old_VE.shape[1])
    for written, token_id in vocabulary.items():
        rows[token_id] = old_VE[_old_ids(written, old)].mean(dim=0)
    return rows


def _old_ids(written: str, old: Tokenizer) -> list[int]:
    """The old tokens that spell a new one; all of them for one that the old had no word for."""
    same = old.token_to_id(written)
    if same is not None:
        return [same]
    spelled = try_token_bytes(written)
    if spelled is not None:
        try:
            ids: list[int] = old.encode(spelled.decode(), add_special_tokens=False).ids
        except UnicodeDecodeError:
            # Part of a character: each of its bytes is a token of any byte-level vocabulary.
            ids = [i for c in written if (i := old.token_to_id(c)) is not None]
        if ids:
            return ids
    return list(range(old.get_vocab_size()))
