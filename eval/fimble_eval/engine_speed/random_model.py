"""A model of `fimble-base`'s shape with random weights: fast or slow as the real one, but dumb.

Owns the writing of its folder. For measuring speed where the shipped model is much
smaller; what it says means nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from fimble_model.network.config import NetworkConfig
from fimble_model.network.families import build_config_values
from fimble_model.network.shapes import SHAPES
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import to_checkpoint_tensors
from fimble_model.shipped import find_model_folder
from fimble_model.text.byte_alphabet import CHARACTER_OF_BYTE

__all__ = ["BASE_SHAPE", "write_random_model", "write_random_tokenizer"]

BASE_SHAPE = SHAPES["fimble-base"]


def write_random_model(folder: Path, *, config: NetworkConfig = BASE_SHAPE, seed: int = 0) -> None:
    """Write a folder that every loader takes: weights from the seed, float16.

    The tokenizer is the shipped small model's, its vocabulary filled up with byte strings that
    no merge makes: every id the network may choose spells something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    transformer = Transformer(config)
    transformer.initialise(seed)
    tensors = {
        key: tensor.to(torch.float16).contiguous()
        for key, tensor in to_checkpoint_tensors(transformer).items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    source = find_model_folder("fimble-nano")
    values = build_config_values(config)
    statement = json.loads((source / "config.json").read_text(encoding="utf-8"))["fimble"]
    values["fimble"] = statement | {"untrained": True}
    values["eos_token_id"] = 0
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    write_random_tokenizer(folder, config.vocabulary_size)


def write_random_tokenizer(folder: Path, n_ids: int) -> None:
    """Write the shipped small model's tokenizer, filled up: every id below `n_ids` spells."""
    source = find_model_folder("fimble-nano")
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    _fill_up(tokenizer["model"]["vocab"], tokenizer["added_tokens"], n_ids)
    written = json.dumps(tokenizer, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(written, encoding="utf-8")


def _fill_up(vocabulary: dict[str, int], added: list[dict[str, object]], n_ids: int) -> None:
    """Give every id up to `n_ids` a token: its number in words of the byte alphabet."""
    taken = {*vocabulary.values(), *(each["id"] for each in added)}
    for token_id in range(n_ids):
        if token_id not in taken:
            digits = f" unused{token_id:05}".encode()
            vocabulary["".join(CHARACTER_OF_BYTE[byte] for byte in digits)] = token_id
