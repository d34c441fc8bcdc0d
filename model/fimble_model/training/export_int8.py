"""A model folder's matrices in int8: half the bytes, and the same tokens as rounded at load.

Owns what is rounded: every linear layer's matrix, by the rule by which serving rounds it. The
norms stay as they are, and so does the embedding, which the tied head shares, unless asked.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.network.checkpoint import Checkpoint, load_config, open_checkpoint
from fimble_model.network.families import find_family
from fimble_model.network.levels import round_to_levels
from fimble_model.network.stored_levels import INT8_STATEMENT, scale_key_of
from fimble_model.network.tensor_files import load_json
from fimble_model.network.tensor_names import LLAMA_NAMES, build_parts
from fimble_model.training.export import PART_BYTES, save_tensors
from fimble_model.training.storage import write_text_whole

__all__ = ["export_int8"]

_CONFIG = "config.json"
_KEPT_UNLESS_ASKED = frozenset({"embedding.weight", "head.weight"})


def export_int8(
    folder: Path, out: Path, *, with_embedding: bool = False, part_bytes: int = PART_BYTES
) -> None:
    """Write the model in `folder` to `out` in int8, everything but the weights copied.

    `with_embedding` rounds that too: what a tied head multiplies with is the same then, for
    serving rounds it anyway, but tokens are looked up rounded.

    Raises `CheckpointError` for a folder that holds no float model, for a family whose tensors are
    not written here, or for a folder written onto itself; nothing is written then.
    """
    if folder.resolve() == out.resolve():
        raise CheckpointError(
            expected="another folder for the int8 model",
            found=f"{out}, which holds the float one",
            to_do="Name a folder of its own.",
        )
    _require_writable(folder)
    with open_checkpoint(folder) as checkpoint:
        out.mkdir(parents=True, exist_ok=True)
        save_tensors(_round_tensors(checkpoint, with_embedding), out, part_bytes)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != _CONFIG and "safetensors" not in path.name:
            shutil.copyfile(path, out / path.name)
    values = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    stated = values | {"quantization_config": INT8_STATEMENT}
    write_text_whole(out / _CONFIG, json.dumps(stated, indent=2) + "\n")


def _require_writable(folder: Path) -> None:
    """A router serves in floats always, and only llama's tensors hold their rows as we do."""
    config = load_config(folder)
    family = find_family(load_json(folder / _CONFIG))
    if family.names is LLAMA_NAMES and config.experts is None:
        return
    reason = "tensors of other names" if config.experts is None else "experts and a router"
    raise CheckpointError(
        expected="a model whose tensors are named as llama's, and that has no experts",
        found=f"a model of the family {family.model_type}, which has {reason}",
        to_do="Serve it from its floats: with model.dtype int8 it is rounded as it is loaded.",
    )


def _round_tensors(checkpoint: Checkpoint, with_embedding: bool) -> dict[str, Tensor]:
    kept = frozenset() if with_embedding else _KEPT_UNLESS_ASKED
    tensors: dict[str, Tensor] = {}
    parts = build_parts(checkpoint.config)
    for name in checkpoint.parameter_names:
        stacked, start = checkpoint.read(name), 0
        for part in parts[name]:
            tensor = stacked[start : start + part.shape[0]]
            start += part.shape[0]
            if tensor.dim() == 1 or name in kept:
                tensors[part.key] = tensor.contiguous()
                continue
            levels_VE, scale_V = round_to_levels(tensor.to(torch.float32))
            tensors[part.key] = levels_VE.contiguous()
            tensors[scale_key_of(part.key)] = scale_V[:, None].contiguous()
    return tensors
