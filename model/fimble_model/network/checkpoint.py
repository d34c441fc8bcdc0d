"""Checkpoint folders: config.json and the tensors beside it, matched to each other with care.

Owns the checking of keys, shapes and types, which files' headers tell before a weight is read, and
the reading. Every key of a checkpoint is used exactly once, or it is refused. Builds no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.network.config import NetworkConfig
from fimble_model.network.families import find_family, parse_config
from fimble_model.network.levels import Levels, round_to_levels
from fimble_model.network.stored_levels import scale_key_of
from fimble_model.network.tensor_files import (
    CONFIG,
    FETCH_AGAIN,
    SINGLE,
    TensorFile,
    load_json,
    name_some,
    open_files,
    unreadable,
)
from fimble_model.network.tensor_names import (
    Part,
    TensorNames,
    build_parts,
    from_groups,
    is_derived_key,
)

__all__ = ["Checkpoint", "load_config", "open_checkpoint"]

# Numbers that are widened at once where a matrix is rounded as it comes: 4 MiB of float32.
_ROUNDED_AT_ONCE = 2**20
# Types as safetensors' headers name them.
_FLOATS = frozenset({"F16", "BF16", "F32"})
_WORDS = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "I32": "int32",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An open checkpoint whose keys, shapes and types fit `config`. Tensors are read on demand."""

    config: NetworkConfig
    _files: Mapping[str, TensorFile]
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
        Matrices that are stored in int8 are widened. Raises `CheckpointError` for damaged files.
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

    def has_levels(self, parameter_name: str) -> bool:
        """Whether a matrix is stored in int8."""
        return all(scale_key_of(part.key) in self._files for part in self._parts[parameter_name])

    def read_levels(self, parameter_name: str) -> Levels:
        """A matrix in int8, its parts stacked: as it is stored, or rounded as it comes.

        Floats are widened a few rows at a time: never does the whole matrix stand in memory in
        any wider form. Raises `CheckpointError` for damaged files.
        """
        parts = self._parts[parameter_name]
        n_channels = sum(part.shape[0] for part in parts)
        levels = Levels(
            torch.empty((n_channels, *parts[0].shape[1:]), dtype=torch.int8),
            torch.empty(n_channels),
        )
        start = 0
        for part in parts:
            end = start + part.shape[0]
            self._read_levels_into(part, Levels(levels[0][start:end], levels[1][start:end]))
            start = end
        if parts[0].n_groups > 1:
            rows = from_groups(self.config)
            return Levels(levels.levels_VE[rows], levels.scale_V[rows])
        return levels

    def _read_levels_into(self, part: Part, target: Levels) -> None:
        try:
            if scale_key_of(part.key) in self._files:
                target.levels_VE.copy_(self._files[part.key].get_tensor(part.key))
                scale_key = scale_key_of(part.key)
                target.scale_V.copy_(self._files[scale_key].get_tensor(scale_key).flatten())
                return
            stored = self._files[part.key].get_slice(part.key)
            n_rows = max(1, _ROUNDED_AT_ONCE // part.shape[1])
            for start in range(0, part.shape[0], n_rows):
                rows = slice(start, start + n_rows)
                levels_VE, scale_V = round_to_levels(stored[rows].to(torch.float32))
                target.levels_VE[rows].copy_(levels_VE)
                target.scale_V[rows].copy_(scale_V)
        except SafetensorError as error:
            raise unreadable(part.key, error) from error

    def _read_part(self, part: Part) -> Tensor:
        """A tensor in floats, its rows as we hold them."""
        if scale_key_of(part.key) in self._files:
            levels = Levels(torch.empty(part.shape, dtype=torch.int8), torch.empty(part.shape[0]))
            self._read_levels_into(part, levels)
            tensor = levels.widen()
        else:
            try:
                tensor = self._files[part.key].get_tensor(part.key)
            except SafetensorError as error:
                raise unreadable(part.key, error) from error
        return tensor[from_groups(self.config)] if part.n_groups > 1 else tensor


def load_config(folder: Path) -> NetworkConfig:
    """The config of a checkpoint folder. Raises `CheckpointError`."""
    if not folder.is_dir():
        raise CheckpointError(
            expected=f"a model folder at {folder}",
            found="a file" if folder.exists() else "nothing",
            to_do=f"Name a folder that holds {CONFIG} and {SINGLE}.",
        )
    return parse_config(load_json(folder / CONFIG))


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Checkpoint]:
    """A folder's checkpoint, or a GGUF file's, open while the context lasts.

    What config.json says of keys, shapes and types is held against the files' headers here, before
    any weight is read. Raises `CheckpointError`.
    """
    with ExitStack() as stack:
        if folder.suffix.lower() == ".gguf" and folder.is_file():
            config, names, files = _open_gguf(folder, stack)
        else:
            config = load_config(folder)
            names = find_family(load_json(folder / CONFIG)).names
            files = open_files(folder, stack)
        parts = _match_parts(config, names, files)
        for some_parts in parts.values():
            for part in some_parts:
                _check_header(part, files)
        yield Checkpoint(config=config, _files=files, _parts=parts)


def _open_gguf(
    path: Path, stack: ExitStack
) -> tuple[NetworkConfig, TensorNames, Mapping[str, TensorFile]]:
    from fimble_model.gguf_file.configs import build_config
    from fimble_model.gguf_file.header import read_header
    from fimble_model.gguf_file.tensors import open_tensors

    header = read_header(path)
    values = build_config(header)
    config, names = parse_config(values), find_family(values).names
    tensors = stack.enter_context(open_tensors(header, config, names))
    return config, names, dict.fromkeys(tensors.keys(), tensors)


def _match_parts(
    config: NetworkConfig, names: TensorNames, files: Mapping[str, TensorFile]
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
        raise _mismatch(f"the {len(expected)} tensors that {CONFIG} implies", missing, "missing")
    if unused:
        raise _mismatch("no tensors beyond those of the network", unused, "unknown")
    return parts


def _check_same(files: Mapping[str, TensorFile], head: str, embedding: str) -> None:
    if embedding in files and not torch.equal(
        files[head].get_tensor(head), files[embedding].get_tensor(embedding)
    ):
        raise CheckpointError(
            expected=f"{head} to equal {embedding}, for {CONFIG} ties them",
            found="two different tensors",
            to_do="Set tie_word_embeddings to false, or drop the head from the checkpoint.",
        )


def _check_header(part: Part, files: Mapping[str, TensorFile]) -> None:
    """Raise for a tensor whose shape is not the config's, or whose type is not ours."""
    scale_key = scale_key_of(part.key)
    allowed = _FLOATS
    if scale_key in files:
        allowed = frozenset({"I8"})
        _check_tensor(files, scale_key, (part.shape[0], 1), frozenset({"F32"}))
    _check_tensor(files, part.key, part.shape, allowed)


def _check_tensor(
    files: Mapping[str, TensorFile], key: str, shape: tuple[int, ...], allowed: frozenset[str]
) -> None:
    header = files[key].get_slice(key)
    found_shape, found_type = header.get_shape(), header.get_dtype()
    if tuple(found_shape) != shape:
        raise CheckpointError(
            expected=f"{key} of shape {list(shape)}, as {CONFIG} says",
            found=f"shape {found_shape}",
            to_do=f"{CONFIG} and the weights do not belong together; fetch both again.",
        )
    if found_type not in allowed:
        words = "in float16, bfloat16 or float32"
        if allowed is not _FLOATS:
            words = "in int8" if "I8" in allowed else "to hold scales in float32"
        raise CheckpointError(
            expected=f"{key} {words}",
            found=_WORDS.get(found_type, found_type),
            to_do="Choose a checkpoint that is not quantised."
            if allowed is _FLOATS
            else FETCH_AGAIN,
        )


def _mismatch(expected: str, keys: Iterable[str], what: str) -> CheckpointError:
    return CheckpointError(
        expected=expected,
        found=name_some(keys, what),
        to_do=f"{CONFIG} and the weights do not belong together; fetch both again.",
    )
