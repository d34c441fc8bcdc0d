"""Which folder a model's name means: one that ships, a folder, or a hub's name.

Owns the order of these. A hub's model is taken from the cache where it is whole; else it is
fetched, unless that is not wanted. Never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fimble_model.errors import CheckpointError
from fimble_model.shipped import find_model_folder
from fimble_model.store.hub import PullProgress, find_cached, look_up, pull
from fimble_model.store.model_ids import ModelId, try_parse_model_id

__all__ = ["FoundModel", "find_model", "is_on_a_hub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model on this machine. `repository` is its hub's name, where it has one."""

    name: str
    folder: Path
    repository: str | None = None


def find_model(
    name_or_dir: str | Path, on_progress: Callable[[PullProgress], None] | None = None
) -> FoundModel:
    """The model, fetched from the hub if need be.

    Raises `CheckpointError` for a name of nothing, `HubError` where fetching fails.
    """
    model_id = is_on_a_hub(name_or_dir)
    if model_id is None:
        folder = find_model_folder(name_or_dir)
        return FoundModel(name=folder.name, folder=folder)
    cached = find_cached(model_id)
    if cached is not None and cached.lack is None:
        folder = cached.folder
    else:
        folder = pull(look_up(model_id), on_progress=on_progress)
    return FoundModel(name=str(model_id), folder=folder, repository=model_id.repository)


def is_on_a_hub(name_or_dir: str | Path) -> ModelId | None:
    """The id of a hub's model; None for a name that ships and for a folder that is there."""
    try:
        find_model_folder(name_or_dir)
    except CheckpointError:
        return try_parse_model_id(str(name_or_dir))
    return None
