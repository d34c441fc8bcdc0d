"""A GGUF file's header: its metadata, and where each tensor lies.

Owns the format (ggml's docs/gguf.md, versions 2 and 3). The `gguf` library's own reader takes
half a minute for a vocabulary of 150,000 tokens, for it makes an array of every string; hence
this one. Quantised numbers it leaves to that library. Never imports torch.
"""

from __future__ import annotations

import functools
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

from fimble_model.errors import CheckpointError

__all__ = ["GgufHeader", "TensorPlace", "forget_header", "read_header"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    kind: struct.Struct("<" + code) for kind, code in
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    .items()
}  # fmt: skip
_COUNT, _KIND = struct.Struct("<Q"), struct.Struct("<I")
_DEFAULT_ALIGNMENT = 32
_FETCH_AGAIN = "Fetch the file again, or choose another one."


class TensorPlace(NamedTuple):
    """Where a tensor lies in the file. `shape` is in torch's order, the rows first."""

    shape: tuple[int, ...]
    kind: int
    start_byte: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What stands before the numbers. Values are strings, numbers, booleans, and lists of these."""

    path: Path
    metadata: Mapping[str, object]
    tensors: Mapping[str, TensorPlace]

    @property
    def architecture(self) -> str:
        """llama.cpp's word for the kind of network."""
        return str(self.metadata["general.architecture"])

    @property
    def n_parameters(self) -> int:
        """All numbers of all tensors."""
        return sum(prod(place.shape) for place in self.tensors.values())

    def own(self, name: str) -> object:
        """A value of the network's own, like `block_count`; None where there is none.

        Numbers are kept in float32 there: what was 0.000001 is given as that again.
        """
        found = self.metadata.get(f"{self.architecture}.{name}")
        return float(f"{found:.7g}") if isinstance(found, float) else found

    def kind_names(self) -> tuple[str, ...]:
        """The kinds of numbers, those that hold most bytes first: `Q4_K`, `F32`."""
        import gguf

        n_bytes: dict[int, int] = {}
        for place in self.tensors.values():
            n_bytes[place.kind] = n_bytes.get(place.kind, 0) + place.n_bytes
        ordered = sorted(n_bytes, key=lambda kind: -n_bytes[kind])
        return tuple(gguf.GGMLQuantizationType(kind).name for kind in ordered)


def read_header(path: Path) -> GgufHeader:
    """The header of a whole file. Raises `CheckpointError` for what is none, or cut off.

    The last one is kept, as long as the file stays the same: config, tokenizer and weights each
    ask for it while a model is loaded, and a large vocabulary takes a fifth of a second.
    """
    try:
        stated = path.stat()
    except OSError:
        return _read(path, 0, 0)  # Says what is wrong.
    return _read(path, stated.st_mtime_ns, stated.st_size)


def forget_header() -> None:
    """Give the memory of the last header back: some 30 MB where the vocabulary is large."""
    _read.cache_clear()


@functools.lru_cache(maxsize=1)
def _read(path: Path, changed_ns: int, n_bytes: int) -> GgufHeader:
    del changed_ns, n_bytes
    try:
        with path.open("rb") as opened:
            _refuse_other(path, opened.read(len(_MAGIC) + _KIND.size))
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as written:
                return _parse(path, written)
    except OSError as error:
        raise CheckpointError(
            expected=f"a readable GGUF file at {path}",
            found=error.strerror or type(error).__name__,
            to_do="Check the path and its permissions.",
        ) from error
    except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError) as error:
        raise CheckpointError(
            expected=f"a whole GGUF file at {path}",
            found="a header that is cut off or damaged",
            to_do=_FETCH_AGAIN,
        ) from error


def _refuse_other(path: Path, start: bytes) -> None:
    if len(start) < len(_MAGIC) + _KIND.size or start[: len(_MAGIC)] != _MAGIC:
        raise CheckpointError(
            expected=f"a GGUF file at {path}, which begins with {_MAGIC.decode()}",
            found="an empty file" if not start else "a file of another kind",
            to_do=_FETCH_AGAIN,
        )
    (version,) = _KIND.unpack(start[len(_MAGIC) :])
    if version not in _VERSIONS:
        is_swapped = version & 0xFFFF == 0
        raise CheckpointError(
            expected="GGUF of version 2 or 3",
            found="one of a big-endian machine" if is_swapped else f"version {version}",
            to_do="Convert the model again with a llama.cpp of today.",
        )


class _Cursor:
    """Reads values one after the other; keeps the invariant that it never reads past the end."""

    def __init__(self, written: mmap.mmap, at_byte: int) -> None:
        self._written = written
        self._n_bytes = len(written)
        self.at_byte = at_byte

    def number(self, form: struct.Struct) -> int:
        """One number of a kind. Raises `struct.error` at the end of the file."""
        (value,) = form.unpack_from(self._written, self.at_byte)
        self.at_byte += form.size
        return value  # type: ignore[no-any-return]  # What a Struct unpacks has no type.

    def string(self) -> str:
        """A string: its length, then UTF-8."""
        n_bytes = self.number(_COUNT)
        end = self.at_byte + n_bytes
        if end > self._n_bytes:
            raise struct.error("past the end")
        raw = self._written[self.at_byte : end]
        self.at_byte = end
        return raw.decode("utf-8", errors="replace")

    def value(self, kind: int) -> object:
        """A value of any kind. Raises `KeyError` for a kind that does not exist."""
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        item_kind, n_items = self.number(_KIND), self.number(_COUNT)
        if n_items > self._n_bytes:
            raise struct.error("past the end")
        read: Callable[[], object]
        if item_kind == _STRING:
            read = self.string
        elif item_kind == _ARRAY:
            read = lambda: self.value(_ARRAY)  # noqa: E731  one of three readers
        else:
            form = _NUMBERS[item_kind]
            read = lambda: self.number(form)  # noqa: E731
        return [read() for _ in range(n_items)]


def _parse(path: Path, written: mmap.mmap) -> GgufHeader:
    cursor = _Cursor(written, len(_MAGIC) + _KIND.size)
    n_tensors, n_values = cursor.number(_COUNT), cursor.number(_COUNT)
    if max(n_tensors, n_values) > len(written):
        raise struct.error("past the end")
    metadata: dict[str, object] = {}
    for _ in range(n_values):
        name = cursor.string()
        metadata[name] = cursor.value(cursor.number(_KIND))
    infos = [_read_info(cursor) for _ in range(n_tensors)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise struct.error("an alignment of nothing")
    data_start = -(-cursor.at_byte // alignment) * alignment
    tensors = {
        name: TensorPlace(shape, kind, data_start + offset, _count_bytes(path, name, shape, kind))
        for name, shape, kind, offset in infos
    }
    end = max((place.start_byte + place.n_bytes for place in tensors.values()), default=0)
    if end > len(written):
        raise CheckpointError(
            expected=f"a GGUF file of {end} bytes, as its header says",
            found=f"one that ends after {len(written)}: {path}",
            to_do=_FETCH_AGAIN,
        )
    if not isinstance(metadata.get("general.architecture"), str) or not tensors:
        raise CheckpointError(
            expected="a GGUF file of a language model",
            found=f"one without a network: {path}",
            to_do="Choose the file that holds the model itself.",
        )
    return GgufHeader(path=path, metadata=metadata, tensors=tensors)


def _read_info(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.string()
    n_axes = cursor.number(_KIND)
    if n_axes > 8:
        raise struct.error("more axes than tensors have")
    shape = tuple(reversed([cursor.number(_COUNT) for _ in range(n_axes)]))
    return name, shape, cursor.number(_KIND), cursor.number(_COUNT)


def _count_bytes(path: Path, name: str, shape: tuple[int, ...], kind: int) -> int:
    import gguf

    sizes = {int(each): size for each, size in gguf.GGML_QUANT_SIZES.items()}
    if kind not in sizes:
        raise CheckpointError(
            expected="numbers of a kind that the gguf library knows",
            found=f"kind {kind} of {name} in {path.name}",
            to_do="Choose a file of another quantisation, like Q8_0 or Q4_K_M.",
        )
    block_values, block_bytes = sizes[kind]
    return prod(shape) // block_values * block_bytes
