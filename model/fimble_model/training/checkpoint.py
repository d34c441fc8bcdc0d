"""Training checkpoints on disk: whole or not there, and the older one kept beside the newer.

Owns the files' names, their atomic writing and their checked reading. Never knows what the
state means. Loads tensors and plain values only, never code.
"""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError

import torch

from fimble_model.errors import CheckpointError
from fimble_model.training.storage import open_whole

__all__ = ["load_checkpoint", "load_latest_checkpoint", "write_checkpoint"]

log = logging.getLogger(__name__)

_N_KEPT = 2


def write_checkpoint(state: dict[str, object], folder: Path, *, n_steps: int) -> Path:
    """Write the state after `n_steps` steps; the file appears only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{n_steps:08d}.pt"
    with open_whole(path) as file:
        torch.save(state, file)
    for older in sorted(folder.glob("step-*.pt"))[:-_N_KEPT]:
        older.unlink()
    return path


def load_checkpoint(path: Path) -> dict[str, object]:
    """The state in one file. Raises `CheckpointError` where it is not whole."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise CheckpointError(
            expected=f"a whole training checkpoint in {path.name}",
            found=f"a damaged one ({type(error).__name__})",
            to_do="Delete it; training goes on from the checkpoint before it.",
        ) from error
    assert isinstance(state, dict), "write_checkpoint writes dicts"
    return state


def load_latest_checkpoint(folder: Path) -> dict[str, object] | None:
    """The newest whole state, or None in a folder without checkpoints.

    Damaged files are passed over with a warning; where all are damaged, `CheckpointError`.
    """
    failure: CheckpointError | None = None
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            log.warning("%s", error)
            failure = error
    if failure is not None:
        raise failure
    return None
