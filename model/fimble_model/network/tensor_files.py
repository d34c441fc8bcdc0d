"""A folder's files: JSON, `model.safetensors`, or shards and their index, opened with care.

Owns the finding and opening. Never unpickles: a pickle can run any code. Knows no network; what
is opened is mapped, so that a tensor takes memory only while it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fimble_model.errors import CheckpointError

__all__ = [
    "CONFIG",
    "FETCH_AGAIN",
    "SINGLE",
    "TensorFile",
    "TensorSlice",
    "load_json",
    "name_some",
    "open_files",
    "unreadable",
]

CONFIG = "config.json"
SINGLE = "model.safetensors"
FETCH_AGAIN = "Fetch or export the model again."
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class TensorSlice(Protocol):
    """What we use of a tensor whose numbers are not read yet."""

    def get_shape(self) -> list[int]: ...

    def get_dtype(self) -> str: ...

    def __getitem__(self, rows: slice) -> Tensor: ...


class TensorFile(Protocol):
    """What we use of an open safetensors file."""

    def keys(self) -> Iterable[str]: ...

    def get_tensor(self, key: str) -> Tensor: ...

    def get_slice(self, key: str) -> TensorSlice: ...


def load_json(path: Path) -> Mapping[str, object]:
    """The object in a file. Raises `CheckpointError`."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            expected=f"{path.name} in {path.parent}",
            found="no such file",
            to_do=f"Name the folder that holds the model's {CONFIG}.",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            expected=f"readable JSON in {path.name}",
            found=f"{type(error).__name__} in {path.parent}",
            to_do=FETCH_AGAIN,
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(
            expected=f"an object in {path.name}",
            found=f"a JSON {type(values).__name__}",
            to_do=FETCH_AGAIN,
        )
    return cast("dict[str, object]", values)


def open_files(folder: Path, stack: ExitStack) -> dict[str, TensorFile]:
    """Every key of the checkpoint with the open file that holds it, until the stack is closed.

    Raises `CheckpointError` for files that lack, are damaged, or do not fit their index.
    """
    if (folder / SINGLE).exists():
        single = _open_file(folder / SINGLE, stack)
        return dict.fromkeys(single.keys(), single)
    if (folder / _INDEX).exists():
        return _open_shards(folder, stack)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    raise CheckpointError(
        expected=f"{SINGLE} or {_INDEX} in {folder}",
        found=f"only {pickles[0]}, a pickle that could run any code" if pickles else "neither",
        to_do="Choose a model that is published as safetensors, or convert it first.",
    )


def _open_shards(folder: Path, stack: ExitStack) -> dict[str, TensorFile]:
    shard_names = _load_shard_names(folder)
    shards = {name: _open_file(folder / name, stack) for name in sorted(set(shard_names.values()))}
    for name, shard in shards.items():
        listed = {key for key, shard_name in shard_names.items() if shard_name == name}
        held = set(shard.keys())
        if listed != held:
            raise CheckpointError(
                expected=f"{name} to hold the tensors that {_INDEX} lists",
                found=name_some(listed - held, "missing") or name_some(held - listed, "not listed"),
                to_do=FETCH_AGAIN,
            )
    return {key: shards[name] for key, name in shard_names.items()}


def _load_shard_names(folder: Path) -> dict[str, str]:
    weight_map = load_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        # A shard lies beside its index: a path could point anywhere on the machine.
        isinstance(name, str) and Path(name).name == name
        for name in weight_map.values()
    ):
        raise CheckpointError(
            expected=f"a weight_map of file names in {_INDEX}",
            found="none" if weight_map is None else "something else",
            to_do=FETCH_AGAIN,
        )
    return weight_map


def _open_file(path: Path, stack: ExitStack) -> TensorFile:
    if not path.is_file():
        raise CheckpointError(
            expected=f"{path.name} in {path.parent}",
            found="no such file",
            to_do="The download is not complete; fetch the model again.",
        )
    try:
        opened = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
    except (SafetensorError, OSError) as error:
        raise unreadable(path.name, error) from error
    return cast("TensorFile", opened)


def name_some(keys: Iterable[str], what: str) -> str:
    """The first of some keys and how many more there are; nothing where there is none."""
    ordered = sorted(keys)
    more = f" and {len(ordered) - 1} more" if len(ordered) > 1 else ""
    return f"{ordered[0]}{more} {what}" if ordered else ""


def unreadable(name: str, error: Exception) -> CheckpointError:
    """The error for a file, or a tensor in it, that cannot be read."""
    return CheckpointError(
        expected=f"whole safetensors data in {name}",
        found=f"damaged or truncated data ({error})",
        to_do=FETCH_AGAIN,
    )
