"""A model of two shards on a fake hub, and a way to fetch it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from fimble_model.store.model_ids import ModelId
from fimble_model.store.pulling import pull
from fimble_model.store.remote import look_up
from fimble_testing.fake_hub import FakeHub

__all__ = ["ID", "NAME", "N_WEIGHT_BYTES", "SHARDS", "fetch", "write_model"]

NAME = "makers/coder-1b"
ID = ModelId(repository=NAME)
N_WEIGHT_BYTES = 300_000
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def write_model(folder: Path) -> None:
    """Write all files of a repository: those that loading needs, and others beside them."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "tokenizer.json").write_text("{}" * 1000)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA model.")
    (folder / "modeling_own.py").write_text("raise SystemExit")
    (folder / "training.log").write_text("not wanted")
    for number, name in enumerate(SHARDS, start=1):
        save_file({"a": np.full(N_WEIGHT_BYTES, number, np.uint8)}, folder / name)
    index = {"weight_map": dict(zip("ab", SHARDS, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def fetch(hub: FakeHub, cache: Path) -> Path:
    """Look the model up and pull it; its folder in the cache."""
    remote = look_up(ID, endpoint=hub.endpoint)
    return pull(remote, cache_dir=cache, endpoint=hub.endpoint).folder
