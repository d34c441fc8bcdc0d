"""Checkpoint folders: config.json, `model.safetensors` and its sharded index, read with care.

Owns the finding, opening and checking of files and keys. Never unpickles: a pickle can run any
code. Every key of a checkpoint is used exactly once, or it is refused. Builds no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.network.config import NetworkConfig
from fimble_model.network.families import find_family, parse_config
from fimble_model.network.levels import Levels, stack_levels
from fimble_model.network.stored_levels import scale_key_of
from fimble_model.network.tensor_names import (
    Part,
    TensorNames,
    build_parts,
    from_groups,
    is_derived_key,
)

__all__ = ["Checkpoint", "load_config", "open_checkpoint"]

_CONFIG = "config.json"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32})
_FETCH_AGAIN = "Fetch or export the model again."


class _TensorFile(Protocol):
    """What we use of an open safetensors file."""

    def keys(self) -> Iterable[str]: ...

    def get_tensor(self, key: str) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An open checkpoint whose keys and shapes fit `config`. Tensors are read on demand."""

    config: NetworkConfig
    _files: Mapping[str, _TensorFile]
    _parts: Mapping[str, tuple[Part, ...]]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the `Transformer` parameters that the checkpoint holds."""
        return tuple(self._parts)

    def read(
        self,
        parameter_name: str,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> Tensor:
        """One parameter, its parts stacked; in the checkpoint's own float type if None.

        On a `device` other than the CPU its parts go there one by one, as they are in the file.

        Matrices that are stored in int8 are widened.

        Raises `CheckpointError` for a tensor of another shape or of a type that is no float.
        """
        tensors = [self._read_part(part) for part in self._parts[parameter_name]]
        dtype = dtype or tensors[0].dtype
        first_axis = sum(tensor.shape[0] for tensor in tensors)
        parameter = torch.empty((first_axis, *tensors[0].shape[1:]), dtype=dtype, device=device)
        start = 0
        for tensor in tensors:
            parameter[start : start + tensor.shape[0]].copy_(tensor)
            start += tensor.shape[0]
        return parameter

    def try_read_levels(self, parameter_name: str) -> Levels | None:
        """A matrix as it is stored in int8, its parts stacked; None for what is stored in floats.

        Raises `CheckpointError` for a tensor of another shape or type.
        """
        parts = self._parts[parameter_name]
        if not all(scale_key_of(part.key) in self._files for part in parts):
            return None
        return stack_levels([self._read_levels(part) for part in parts])

    def _read_levels(self, part: Part) -> Levels:
        n_channels = part.shape[0]
        levels = self._read_tensor(part)
        scale = self._read_tensor(Part(scale_key_of(part.key), (n_channels, 1)))
        if (levels.dtype, scale.dtype) != (torch.int8, torch.float32):
            raise CheckpointError(
                expected=f"{part.key} in int8 and its scales in float32",
                found=f"{levels.dtype} and {scale.dtype}",
                to_do=_FETCH_AGAIN,
            )
        if part.n_groups > 1:
            rows = from_groups(self.config)
            levels, scale = levels[rows], scale[rows]
        return Levels(levels, scale.flatten())

    def _read_tensor(self, part: Part) -> Tensor:
        try:
            tensor = self._files[part.key].get_tensor(part.key)
        except SafetensorError as error:
            raise _unreadable(part.key, error) from error
        if tuple(tensor.shape) != part.shape:
            raise CheckpointError(
                expected=f"{part.key} of shape {list(part.shape)}, as {_CONFIG} says",
                found=f"shape {list(tensor.shape)}",
                to_do=_FETCH_AGAIN,
            )
        return tensor

    def _read_part(self, part: Part) -> Tensor:
        if scale_key_of(part.key) in self._files:
            return self._read_levels(part).widen()
        tensor = self._read_tensor(part)
        if tensor.dtype not in _FLOATS:
            raise CheckpointError(
                expected=f"{part.key} in float16, bfloat16 or float32",
                found=f"{tensor.dtype}",
                to_do="Choose a checkpoint that is not quantised.",
            )
        return tensor[from_groups(self.config)] if part.n_groups > 1 else tensor


def load_config(folder: Path) -> NetworkConfig:
    """The config of a checkpoint folder. Raises `CheckpointError`."""
    if not folder.is_dir():
        raise CheckpointError(
            expected=f"a model folder at {folder}",
            found="a file" if folder.exists() else "nothing",
            to_do=f"Name a folder that holds {_CONFIG} and {_SINGLE}.",
        )
    return parse_config(_load_json(folder / _CONFIG))


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Checkpoint]:
    """A folder's checkpoint, or a GGUF file's, open while the context lasts.

    Raises `CheckpointError`.
    """
    with ExitStack() as stack:
        if folder.suffix.lower() == ".gguf" and folder.is_file():
            config, names, files = _open_gguf(folder, stack)
        else:
            config = load_config(folder)
            names = find_family(_load_json(folder / _CONFIG)).names
            files = _open_files(folder, stack)
        parts = _match_parts(config, names, files)
        yield Checkpoint(config=config, _files=files, _parts=parts)


def _open_gguf(
    path: Path, stack: ExitStack
) -> tuple[NetworkConfig, TensorNames, Mapping[str, _TensorFile]]:
    from fimble_model.gguf_file.configs import build_config
    from fimble_model.gguf_file.header import read_header
    from fimble_model.gguf_file.tensors import open_tensors

    header = read_header(path)
    values = build_config(header)
    config, names = parse_config(values), find_family(values).names
    tensors = stack.enter_context(open_tensors(header, config, names))
    return config, names, dict.fromkeys(tensors.keys(), tensors)


def _load_json(path: Path) -> Mapping[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            expected=f"{path.name} in {path.parent}",
            found="no such file",
            to_do=f"Name the folder that holds the model's {_CONFIG}.",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            expected=f"readable JSON in {path.name}",
            found=f"{type(error).__name__} in {path.parent}",
            to_do=_FETCH_AGAIN,
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(
            expected=f"an object in {path.name}",
            found=f"a JSON {type(values).__name__}",
            to_do=_FETCH_AGAIN,
        )
    return cast("dict[str, object]", values)


def _open_files(folder: Path, stack: ExitStack) -> dict[str, _TensorFile]:
    """Every key of the checkpoint with the open file that holds it."""
    if (folder / _SINGLE).exists():
        single = _open_file(folder / _SINGLE, stack)
        return dict.fromkeys(single.keys(), single)
    if (folder / _INDEX).exists():
        return _open_shards(folder, stack)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    raise CheckpointError(
        expected=f"{_SINGLE} or {_INDEX} in {folder}",
        found=f"only {pickles[0]}, a pickle that could run any code" if pickles else "neither",
        to_do="Choose a model that is published as safetensors, or convert it first.",
    )


def _open_shards(folder: Path, stack: ExitStack) -> dict[str, _TensorFile]:
    shard_names = _load_shard_names(folder)
    shards = {name: _open_file(folder / name, stack) for name in sorted(set(shard_names.values()))}
    for name, shard in shards.items():
        listed = {key for key, shard_name in shard_names.items() if shard_name == name}
        held = set(shard.keys())
        if listed != held:
            raise CheckpointError(
                expected=f"{name} to hold the tensors that {_INDEX} lists",
                found=_some(listed - held, "missing") or _some(held - listed, "not listed"),
                to_do=_FETCH_AGAIN,
            )
    return {key: shards[name] for key, name in shard_names.items()}


def _load_shard_names(folder: Path) -> dict[str, str]:
    weight_map = _load_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        # A shard lies beside its index: a path could point anywhere on the machine.
        isinstance(name, str) and Path(name).name == name
        for name in weight_map.values()
    ):
        raise CheckpointError(
            expected=f"a weight_map of file names in {_INDEX}",
            found="none" if weight_map is None else "something else",
            to_do=_FETCH_AGAIN,
        )
    return weight_map


def _open_file(path: Path, stack: ExitStack) -> _TensorFile:
    if not path.is_file():
        raise CheckpointError(
            expected=f"{path.name} in {path.parent}",
            found="no such file",
            to_do="The download is not complete; fetch the model again.",
        )
    try:
        opened = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path.name, error) from error
    return cast("_TensorFile", opened)


def _match_parts(
    config: NetworkConfig, names: TensorNames, files: Mapping[str, _TensorFile]
) -> dict[str, tuple[Part, ...]]:
    parts = build_parts(config, names)
    if config.tied_embeddings:
        head_parts = parts.pop("head.weight")
        # Some exports write a tied head out; it is read to be compared, and dropped.
        for head, embedding in zip(head_parts, parts["embedding.weight"], strict=True):
            if head.key in files:
                _check_same(files, head.key, embedding.key)
    expected = {part.key for some_parts in parts.values() for part in some_parts}
    tied = set() if not config.tied_embeddings else {part.key for part in head_parts}
    scales = {scale_key_of(key) for key in expected}
    known = expected | tied | scales
    unused = {key for key in files if key not in known and not is_derived_key(key)}
    if missing := expected - files.keys():
        raise _mismatch(f"the {len(expected)} tensors that {_CONFIG} implies", missing, "missing")
    if unused:
        raise _mismatch("no tensors beyond those of the network", unused, "unknown")
    return parts


def _check_same(files: Mapping[str, _TensorFile], head: str, embedding: str) -> None:
    if embedding in files and not torch.equal(
        files[head].get_tensor(head), files[embedding].get_tensor(embedding)
    ):
        raise CheckpointError(
            expected=f"{head} to equal {embedding}, for {_CONFIG} ties them",
            found="two different tensors",
            to_do="Set tie_word_embeddings to false, or drop the head from the checkpoint.",
        )


def _some(keys: Iterable[str], what: str) -> str:
    ordered = sorted(keys)
    more = f" and {len(ordered) - 1} more" if len(ordered) > 1 else ""
    return f"{ordered[0]}{more} {what}" if ordered else ""


def _mismatch(expected: str, keys: Iterable[str], what: str) -> CheckpointError:
    return CheckpointError(
        expected=expected,
        found=_some(keys, what),
        to_do=f"{_CONFIG} and the weights do not belong together; fetch both again.",
    )


def _unreadable(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        expected=f"whole safetensors data in {name}",
        found=f"damaged or truncated data ({error})",
        to_do=_FETCH_AGAIN,
    )
