"""A model folder that loads in no time and writes nonsense."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from fimble_model.network.device import Dtype, Placement
from fimble_model.network.families import build_config_values
from fimble_model.network.weights import random_network, to_checkpoint_tensors
from fimble_testing.tiny_engines import TINY_CONFIG
from fimble_testing.tiny_tokenizers import build_tokenizer_json

__all__ = ["write_tiny_checkpoint"]

_FIM_STATEMENT = {
    "fimble": {"fim_family": "fimble", "fim_orders": ["spm", "psm"], "untrained": True}
}


def write_tiny_checkpoint(folder: Path) -> Path:
    """Write a random network with the usual files into a new folder."""
    folder.mkdir()
    placement = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
    tensors = to_checkpoint_tensors(random_network(TINY_CONFIG, placement))
    save_file(
        {key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "model.safetensors"
    )
    (folder / "tokenizer.json").write_text(build_tokenizer_json("fimble"), encoding="utf-8")
    config = json.dumps(build_config_values(TINY_CONFIG) | _FIM_STATEMENT)
    (folder / "config.json").write_text(config, encoding="utf-8")
    return folder
