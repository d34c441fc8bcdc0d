"""Which folder or file a model's name means: one that ships, one on the disk, or a hub's name.

Owns the order of these. A hub's model is taken from the cache where it is whole; else it is
fetched, unless that is not wanted. Never imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimble_model.errors import CheckpointError
from fimble_model.shipped import find_model_folder
from fimble_model.store.cache import find_cached
from fimble_model.store.memory import refuse_larger_than_memory
from fimble_model.store.model_ids import ModelId, try_parse_model_id
from fimble_model.store.near_names import suggest
from fimble_model.store.pulling import PullProgress, pull
from fimble_model.store.remote import look_up

__all__ = ["FoundModel", "find_model", "is_on_a_hub", "lacks_code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model on this machine. `repository` is its hub's name, where it has one.

    `folder` is a GGUF file where the model is one.
    """

    name: str
    folder: Path
    repository: str | None = None


def find_model(
    name_or_dir: str | Path,
    on_progress: Callable[[PullProgress], None] | None = None,
    runs_code_of: Collection[str] = (),
) -> FoundModel:
    """The model, fetched from the hub if need be.

    Python that it brings is fetched only where `runs_code_of` has its very name. Raises
    `CheckpointError` for a name of nothing, `HubError` where fetching fails.
    """
    model_id = is_on_a_hub(name_or_dir)
    if model_id is None:
        folder = _find_here(name_or_dir)
        name = folder.stem if folder.is_file() else folder.name
        return FoundModel(name=name, folder=folder)
    with_code = str(name_or_dir) in runs_code_of
    cached = find_cached(model_id)
    if cached is None or cached.lack is not None:
        remote = look_up(model_id)
        refuse_larger_than_memory(remote)
        cached = pull(remote, with_code=with_code, on_progress=on_progress)
    elif with_code and lacks_code(cached.folder):
        cached = pull(look_up(cached.pinned), with_code=True, on_progress=on_progress)
    return FoundModel(name=str(model_id), folder=cached.place, repository=model_id.repository)


def is_on_a_hub(name_or_dir: str | Path) -> ModelId | None:
    """The id of a hub's model; None for a name that ships and for what is there on the disk."""
    try:
        find_model_folder(name_or_dir)
    except CheckpointError:
        return try_parse_model_id(str(name_or_dir))
    return None


def lacks_code(folder: Path) -> bool:
    """Whether config.json names Python files of the model's own that are not there."""
    try:
        values: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = [str(name) for name in (values.get("auto_map") or {}).values()]
    except (OSError, ValueError, AttributeError):
        return False
    modules = {name.partition(".")[0] for name in names if "--" not in name}
    return any(not (folder / f"{module}.py").is_file() for module in modules)


def _find_here(name_or_dir: str | Path) -> Path:
    try:
        return find_model_folder(name_or_dir)
    except CheckpointError as error:
        near = suggest(str(name_or_dir))
        if near is None:
            raise
        raise CheckpointError(
            expected=error.expected, found=error.found, to_do=f"Did you mean {near}? {error.to_do}"
        ) from error
