"""What of a run is worth carrying off a machine that is given back: a tenth of a checkpoint.

Owns its files: the weights in float16, in parts, and where the run stood. The optimisers' state
and the average are left behind; they are full again after a few dozen steps.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.training.export import PART_BYTES, save_tensors
from fimble_model.training.storage import write_text_whole

__all__ = ["load_rescue", "write_rescue"]

_FACTS = "run.json"
_KEPT = ("settings", "n_steps", "elapsed_s", "next_row")


def write_rescue(state: dict[str, object], folder: Path, *, part_bytes: int = PART_BYTES) -> None:
    """Write the part of a trainer's state that `folder` is to hold, in place of what it held."""
    network = state["network"]
    assert isinstance(network, dict)
    tensors = {name: _to_half(tensor) for name, tensor in network.items()}
    unfinished = folder.with_name(folder.name + "-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    save_tensors(tensors, unfinished, part_bytes)
    facts = {name: state[name] for name in _KEPT}
    write_text_whole(unfinished / _FACTS, json.dumps(facts, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)


def load_rescue(folder: Path) -> dict[str, object] | None:
    """A state without optimisers and average, or None where nothing was rescued."""
    if not (folder / _FACTS).is_file():
        return None
    network: dict[str, Tensor] = {}
    try:
        facts: dict[str, object] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.safetensors")):
            network |= load_file(path)
        return {**{name: facts[name] for name in _KEPT}, "network": network}
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            expected=f"a whole rescued run in {folder.name}",
            found=f"a damaged one ({type(error).__name__})",
            to_do="Copy it again, or delete the folder to start from nothing.",
        ) from error


def _to_half(tensor: Tensor) -> Tensor:
    """Matrices in float16; norms are few and stay as they are."""
    dtype = torch.float16 if tensor.dim() > 1 else torch.float32
    return tensor.detach().to("cpu", dtype).contiguous()
