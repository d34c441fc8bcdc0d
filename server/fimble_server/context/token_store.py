"""The project's tokens for the model's memory, as folders of arrays beside a list of them.

Owns the list: which folder holds which file's newest tokens. Written by the index's process,
mapped by the engine. A folder is never changed; the list is replaced whole. Where list and
folders disagree all of it is thrown away: it can be made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fimble_model.engine.memory_files import is_sound, load_segments, save_segment
from fimble_model.engine.memory_index import Tokens, build_segment, merge_segments, pack_tokens
from fimble_model.engine.protocol import TokenId
from fimble_model.errors import FimbleError
from fimble_model.shipped import find_model_folder

__all__ = ["TokenStore", "find_tokenizer_folder", "key_of", "read_folders", "token_folder"]

_VERSION = 1
# Sorting more tokens than this at once takes more than some 70 MiB.
_MOST_SEGMENT_TOKENS = 1_500_000
# A lookup goes through each of them.
_MOST_FOLDERS = 8
_ANY_ID = 1 << 31

Stamp = tuple[int, int]


def key_of(root: Path, path: str) -> str:
    """The key under which an editor's open file of that path is remembered."""
    return unquote((root / path).as_uri())


def find_tokenizer_folder(model_name: str) -> Path | None:
    """The folder of a model whose tokenizer can be read without it; None for other models."""
    try:
        folder = find_model_folder(model_name)
    except FimbleError:
        return None
    return folder if (folder / "tokenizer.json").is_file() else None


def token_folder(index_folder: Path, model_folder: Path) -> Path:
    """Where a project's tokens by that model's tokenizer lie."""
    written = (model_folder / "tokenizer.json").read_bytes()
    return index_folder / f"tokens-{hashlib.sha256(written).hexdigest()[:16]}"


def read_folders(index_folder: Path, model_folder: Path | None) -> tuple[Path, ...]:
    """The folders of a store that another process writes, as far as they are there and whole."""
    if model_folder is None:
        return ()
    folder = token_folder(index_folder, model_folder)
    try:
        names = json.loads((folder / "list.json").read_text(encoding="utf-8"))["folders"]
        return tuple(folder / str(name) for name in names if is_sound(folder / str(name)))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


class TokenStore:
    """Keeps the invariant that the list on disk names only folders that are there and whole."""

    def __init__(
        self, folder: Path, root: Path, encode: Callable[[str], Sequence[TokenId]]
    ) -> None:
        self._folder, self._root, self._encode = folder, root, encode
        self._stamps: dict[str, Stamp] = {}
        self._names: list[str] = []
        self._unsaved: dict[str, Tokens] = {}
        self._n_unsaved = 0
        folder.mkdir(parents=True, exist_ok=True)
        if not self._try_read_list():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            self._stamps, self._names = {}, []

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """What is in it: paths, and what told of a change of each."""
        return self._stamps

    @property
    def folders(self) -> list[Path]:
        """The folders to load, the newest last."""
        return [self._folder / name for name in self._names]

    def put(self, path: str, stamp: Stamp, text: str) -> bool:
        """A file as it is now; True where that filled a folder, which is saved."""
        self._stamps[path] = stamp
        tokens = pack_tokens(self._encode(text) if text else ())
        self._unsaved[key_of(self._root, path)] = tokens
        self._n_unsaved += len(tokens)
        return self._n_unsaved >= _MOST_SEGMENT_TOKENS and self.save()

    def remove(self, path: str) -> None:
        """A file is gone: an empty text stands for it."""
        if path in self._stamps:
            self.put(path, (0, 0), "")
            del self._stamps[path]

    def save(self) -> bool:
        """Write what was put since the last time; False where that is nothing."""
        if not self._unsaved:
            return False
        self._add_folder(build_segment(self._unsaved))
        self._unsaved, self._n_unsaved = {}, 0
        self._merge_small()
        self._write_list()
        return True

    def _merge_small(self) -> None:
        """Join the newest folders while they are small or there are many."""
        while len(self._names) > 1:
            segments = load_segments(self.folders[-2:], _ANY_ID)
            n_tokens = [segment.n_tokens for segment in segments]
            is_alike = len(segments) == 2 and n_tokens[0] < 2 * n_tokens[1]
            if sum(n_tokens) > _MOST_SEGMENT_TOKENS or not (
                is_alike or len(self._names) > _MOST_FOLDERS
            ):
                return
            older, newer = segments
            outdated = [key for key in newer.documents.keys if older.has(key)]
            merged = merge_segments([older.marked(outdated, is_alive=False), newer])
            del self._names[-2:]
            if merged is not None:
                self._add_folder(merged)

    def _add_folder(self, segment: Any) -> None:
        number = 1 + max((int(name) for name in self._taken_names()), default=0)
        save_segment(segment, self._folder / f"{number:06d}")
        self._names.append(f"{number:06d}")

    def _taken_names(self) -> Iterator[str]:
        yield from self._names
        yield from (path.name for path in self._folder.iterdir() if path.name.isdecimal())

    def _write_list(self) -> None:
        written = {"version": _VERSION, "folders": self._names, "stamps": self._stamps}
        unfinished = self._folder / "list.json.unfinished"
        unfinished.write_text(json.dumps(written), encoding="utf-8")
        os.replace(unfinished, self._folder / "list.json")
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in self._names:
                shutil.rmtree(path, ignore_errors=True)

    def _try_read_list(self) -> bool:
        try:
            written: dict[str, Any] = json.loads(
                (self._folder / "list.json").read_text(encoding="utf-8")
            )
            if written["version"] != _VERSION:
                return False
            self._names = [str(name) for name in written["folders"]]
            self._stamps = {
                str(path): (int(time), int(size))
                for path, (time, size) in written["stamps"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return all(is_sound(folder) for folder in self.folders)
