"""The hub's cache on this machine: what is in it, whether it is sound, and taking it out again.

Owns reading and emptying it; asks no hub. Its form is the Hugging Face library's own:
`snapshots/COMMIT` holds links to `blobs/CHECKSUM`, `refs/NAME` says which commit a branch is.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimble_model.errors import CheckpointError, HubError
from fimble_model.store.gguf_names import choose_gguf, is_gguf
from fimble_model.store.model_ids import ModelId
from fimble_model.store.wholeness import find_lack

__all__ = [
    "CachedModel",
    "cache_folder",
    "cached_models",
    "discard",
    "find_cached",
    "is_as_named",
    "licence_in",
    "remove",
    "throw_away_damaged",
]

_SHA1_CHARS, _SHA256_CHARS = 40, 64
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """A model on this machine. `revision` is its commit; `lack` names what is not there yet.

    `gguf` is the file where the model is one.
    """

    repository: str
    revision: str
    folder: Path
    n_bytes: int
    lack: str | None
    gguf: str | None = None

    @property
    def pinned(self) -> ModelId:
        """The model's name with its commit."""
        return ModelId(repository=self.repository, revision=self.revision, file=self.gguf)

    @property
    def place(self) -> Path:
        """What is to be loaded: the folder, or the one file in it."""
        return self.folder if self.gguf is None else self.folder / self.gguf


def cache_folder(cache_dir: Path | None = None) -> Path:
    """Where the hub's library keeps models, unless a place is named."""
    from huggingface_hub import constants

    return cache_dir or Path(constants.HF_HUB_CACHE)


def cached_models(cache_dir: Path | None = None) -> tuple[CachedModel, ...]:
    """The models in the cache, in the order of their names; no hub is asked.

    What other programs keep there and is no model of text (no config.json, no GGUF) is left out.
    """
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir(cache_folder(cache_dir)).repos
    except CacheNotFound:
        return ()
    found = [
        model
        for repository in repositories
        if repository.repo_type == "model"
        for revision in repository.revisions
        for model in _models_in(repository.repo_id, Path(revision.snapshot_path))
    ]
    return tuple(sorted(found, key=lambda model: (model.repository.lower(), str(model.pinned))))


def find_cached(model_id: ModelId, cache_dir: Path | None = None) -> CachedModel | None:
    """The model's copy in the cache, if there is one; no hub is asked.

    Where no revision is named, the one that was fetched as the main one.
    """
    repository = _repository_folder(model_id.repository, cache_dir)
    revision = model_id.revision or "main"
    try:
        commit = (repository / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision
    folder = repository / "snapshots" / commit
    found = list(_models_in(model_id.repository, folder)) if folder.is_dir() else []
    if model_id.file is not None:
        try:
            file = choose_gguf([each.gguf for each in found if each.gguf], model_id)
        except HubError:
            return None
        return next(each for each in found if each.gguf == file)
    return found[0] if len(found) == 1 else next((e for e in found if e.gguf is None), None)


def throw_away_damaged(model: CachedModel) -> tuple[str, ...]:
    """Compare every file with the checksum that it is kept under; those that differ are deleted.

    Gives their names. Where the file system has no links, nothing tells, and none is damaged.
    """
    damaged = [path for path in sorted(model.folder.iterdir()) if not is_as_named(path)]
    for path in damaged:
        discard(path)
    return tuple(path.name for path in damaged)


def is_as_named(path: Path) -> bool:
    """Whether a cached file has the checksum that its blob's name says."""
    blob = path.resolve()
    name = blob.name
    if not blob.is_file() or set(name) - set("0123456789abcdef"):
        return True
    if len(name) == _SHA256_CHARS:
        return _hash(blob, hashlib.sha256()) == name
    if len(name) == _SHA1_CHARS:  # Git's own checksum of a small file.
        head = f"blob {blob.stat().st_size}\0".encode()
        return _hash(blob, hashlib.sha1(head, usedforsecurity=False)) == name
    return True


def discard(path: Path) -> None:
    """Delete a cached file: the link to it, and what it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def remove(model_id: ModelId, cache_dir: Path | None = None) -> int:
    """Delete a model from the cache, or one of its revisions; the bytes that frees.

    0 where none is. What is half-fetched goes with it.
    """
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        cache = scan_cache_dir(cache_folder(cache_dir))
    except CacheNotFound:
        return 0
    commits = [
        revision.commit_hash
        for found in cache.repos
        if found.repo_type == "model" and found.repo_id.lower() == model_id.repository.lower()
        for revision in found.revisions
        if model_id.revision in (None, revision.commit_hash, *revision.refs)
    ]
    strategy = cache.delete_revisions(*commits)
    n_bytes = int(strategy.expected_freed_size)
    if commits:
        strategy.execute()
    rest = _repository_folder(model_id.repository, cache_dir)
    if model_id.revision is None and rest.is_dir():
        n_bytes += sum(path.stat().st_size for path in rest.rglob("*") if path.is_file())
        shutil.rmtree(rest, ignore_errors=True)
    return n_bytes


def licence_in(folder: Path) -> str | None:
    """The licence that a fetched model's card states; None where it does not."""
    from huggingface_hub.repocard import metadata_load

    try:
        card: dict[str, Any] = metadata_load(folder / "README.md") or {}
    except (OSError, ValueError):
        return None
    licence = card.get("license")
    if licence == "other":
        licence = card.get("license_name") or licence
    return str(licence) if licence else None


def _models_in(repository: str, folder: Path) -> Iterator[CachedModel]:
    """The model of safetensors in a snapshot, and those in GGUF files beside it."""
    names = [path.name for path in folder.iterdir() if path.is_file()]
    ggufs = sorted(filter(is_gguf, names))
    for name in ggufs:
        n_bytes = (folder / name).stat().st_size
        yield CachedModel(
            repository=repository,
            revision=folder.name,
            folder=folder,
            n_bytes=n_bytes,
            lack=_lack_of_gguf(folder / name),
            gguf=name,
        )
    if "config.json" in names and not (ggufs and find_lack(folder)):
        n_bytes = sum((folder / name).stat().st_size for name in names if name not in ggufs)
        yield CachedModel(
            repository=repository,
            revision=folder.name,
            folder=folder,
            n_bytes=n_bytes,
            lack=find_lack(folder),
        )


def _lack_of_gguf(path: Path) -> str | None:
    from fimble_model.gguf_file.header import read_header

    try:
        read_header(path)
    except CheckpointError:
        return f"whole {path.name}"
    return None


def _repository_folder(repository: str, cache_dir: Path | None) -> Path:
    return cache_folder(cache_dir) / ("models--" + repository.replace("/", "--"))


def _hash(path: Path, digest: Any) -> str:
    with path.open("rb") as opened:
        while block := opened.read(_READ_BYTES):
            digest.update(block)
    return str(digest.hexdigest())
