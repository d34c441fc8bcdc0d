"""An index over many documents' tokens as a folder on disk, and back.

Owns the files' names and shapes. A folder is written whole or not at all and never changed, so
that another process may map it meanwhile; one that is damaged is told by its sums and sizes and
left out. Never knows text, nor what may be stored.
"""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimble_model.engine.memory_index import MOST_ORDER, Segment, build_documents

__all__ = ["is_sound", "load_segments", "save_segment"]

log = logging.getLogger(__name__)

_ARRAYS = ("tokens", "offsets", "places")
_HEAD = "segment.json"


def save_segment(segment: Segment, folder: Path) -> None:
    """Write a segment's living and dead documents as a new folder. Raises `OSError`."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    head = {
        "keys": segment.documents.keys,
        "starts": segment.documents.starts.tolist(),
        "sums": {name: zlib.crc32(getattr(segment, name).tobytes()) for name in _ARRAYS},
    }
    for name in _ARRAYS:
        np.save(unfinished / f"{name}.npy", getattr(segment, name), allow_pickle=False)
    (unfinished / _HEAD).write_text(json.dumps(head), encoding="utf-8")
    unfinished.rename(folder)


def load_segments(folders: Sequence[Path], n_ids: int) -> list[Segment]:
    """The segments of the folders that fit together, mapped into memory rather than read.

    `n_ids` bounds the token ids that a network of this vocabulary may be given.
    """
    loaded = ((folder, _try_load(folder)) for folder in folders)
    return [
        segment
        for folder, segment in loaded
        if segment is not None and _fits(segment, n_ids, folder)
    ]


def is_sound(folder: Path) -> bool:
    """Whether a folder's arrays are those that were written. Reads them all."""
    segment = _try_load(folder)
    if segment is None:
        return False
    sums = json.loads((folder / _HEAD).read_text(encoding="utf-8"))["sums"]
    return all(sums[name] == zlib.crc32(getattr(segment, name).tobytes()) for name in _ARRAYS)


def _try_load(folder: Path) -> Segment | None:
    try:
        head: dict[str, Any] = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
        tokens, offsets, places = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        )
        starts = np.array(head["starts"], np.int32)
        keys = [str(key) for key in head["keys"]]
        segment = Segment(
            tokens=_as_array(tokens),
            offsets=_as_array(offsets),
            places=_as_array(places),
            documents=build_documents(keys, starts),
            is_alive=np.ones(len(keys), np.bool_),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("a stored index is left out: %s", type(error).__name__)
        return None
    return segment if len(keys) == len(starts) else None


def _as_array(mapped: NDArray[Any]) -> NDArray[Any]:
    """The same memory as a plain array: indexing the subclass takes twice as long."""
    return mapped.view(np.ndarray)


def _fits(segment: Segment, n_ids: int, folder: Path) -> bool:
    """Whether a lookup cannot leave the arrays and no token is the network's to refuse."""
    offsets, places, tokens = segment.offsets, segment.places, segment.tokens
    fits = (
        all(array.dtype == np.int32 for array in (offsets, places))
        and tokens.dtype in (np.int16, np.int32)
        and len(offsets) > 1
        and (len(offsets) - 1).bit_count() == 1
        and int(offsets[0]) == 0
        and int(offsets[-1]) == len(places)
        and bool((offsets[1:] >= offsets[:-1]).all())
        and int(places.min(initial=MOST_ORDER)) >= MOST_ORDER
        and int(places.max(initial=0)) < len(tokens)
        and int(tokens.max(initial=0)) < n_ids
    )
    if not fits:
        log.warning("a stored index that does not fit is left out: %s", folder.name)
    return fits
