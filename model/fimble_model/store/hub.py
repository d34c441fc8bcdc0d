"""The hub's cache on this machine, and the way from the hub into it.

Owns fetching, checking and removing. The Hugging Face library does the transfers: it resumes what
was cut off, finds the user's own token, and honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE. We
pin the revision, see first that there is room, compare every checksum, and take nothing for
whole that is not. Prints nothing.
"""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble_model.errors import HubError
from fimble_model.store.model_ids import ModelId
from fimble_model.store.wholeness import WANTED_PATTERNS, find_lack, has_weights

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

__all__ = [
    "CachedModel",
    "PullProgress",
    "Remote",
    "RemoteFile",
    "cached_models",
    "find_cached",
    "look_up",
    "pull",
    "remove",
]

_READ_BYTES = 2**20
# What a file system needs besides the files themselves. Guessed.
_SPARE_BYTES = 2**28


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """A model on this machine. `revision` is its commit; `lack` names what is not there yet."""

    repository: str
    revision: str
    folder: Path
    n_bytes: int
    lack: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file on the hub. `sha256` is None for small ones, which the hub keeps without."""

    name: str
    n_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What a hub says of a model, before anything is fetched."""

    repository: str
    revision: str
    licence: str | None
    is_gated: bool
    files: tuple[RemoteFile, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of all files that loading needs."""
        return sum(file.n_bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """Bytes that are here, of all, and the file that is being fetched or checked."""

    n_bytes: int
    n_total_bytes: int
    file: str


def cached_models(cache_dir: Path | None = None) -> tuple[CachedModel, ...]:
    """The models in the cache, in the order of their names; no hub is asked."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir(_cache(cache_dir)).repos
    except CacheNotFound:
        return ()
    found = [
        CachedModel(
            repository=repository.repo_id,
            revision=revision.commit_hash,
            folder=Path(revision.snapshot_path),
            n_bytes=revision.size_on_disk,
            lack=find_lack(Path(revision.snapshot_path)),
        )
        for repository in repositories
        if repository.repo_type == "model"
        for revision in repository.revisions
    ]
    return tuple(sorted(found, key=lambda model: (model.repository.lower(), model.revision)))


def find_cached(model_id: ModelId, cache_dir: Path | None = None) -> CachedModel | None:
    """The model's whole copy in the cache, if there is one; no hub is asked.

    Where no revision is named, the one that was fetched as the main one.
    """
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(
        model_id.repository,
        "config.json",
        revision=model_id.revision,
        cache_dir=_cache(cache_dir),
    )
    if not isinstance(path, str):
        return None
    folder = Path(path).parent
    return CachedModel(
        repository=model_id.repository,
        revision=folder.name,
        folder=folder,
        n_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        lack=find_lack(folder),
    )


def look_up(model_id: ModelId, endpoint: str | None = None) -> Remote:
    """Ask the hub what the model is. Raises `HubError` where there is none to use."""
    from huggingface_hub import HfApi

    with _plain_errors(model_id):
        info = HfApi(endpoint=endpoint).model_info(
            model_id.repository, revision=model_id.revision, files_metadata=True
        )
    siblings = info.siblings or []
    names = [sibling.rfilename for sibling in siblings]
    if not has_weights(names):
        others = sorted(name for name in names if name.endswith((".bin", ".pt", ".gguf")))
        raise HubError(
            expected=f"{model_id} to hold its weights as safetensors",
            found=f"only {others[0]}" if others else f"{len(names)} files, none of them weights",
            to_do="Choose a model that is published as safetensors.",
        )
    return Remote(
        repository=info.id,
        revision=str(info.sha),
        licence=_licence_of(info),
        is_gated=bool(info.gated),
        files=tuple(_file_of(each) for each in siblings if _is_wanted(each.rfilename)),
    )


def pull(
    remote: Remote,
    *,
    on_progress: Callable[[PullProgress], None] | None = None,
    cache_dir: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetch what is not here yet of a model, check it, and give its folder.

    A pull that was cut off goes on where it ended. Raises `HubError` where there is no room, the
    hub fails, or a file is not what the hub says it is; that file is then thrown away.
    """
    from huggingface_hub import constants, hf_hub_download

    report = on_progress or (lambda progress: None)
    cache = _cache(cache_dir)
    model_id = ModelId(repository=remote.repository, revision=remote.revision)
    _refuse_full_disk(remote, cache)
    n_done, folder = 0, None
    for file in sorted(remote.files, key=lambda each: each.n_bytes):

        def tell(n_bytes: int, name: str = file.name, n_before: int = n_done) -> None:
            report(
                PullProgress(n_bytes=n_before + n_bytes, n_total_bytes=remote.n_bytes, file=name)
            )

        tell(0)
        with _plain_errors(model_id):
            path = hf_hub_download(
                remote.repository,
                file.name,
                revision=remote.revision,
                cache_dir=cache,
                endpoint=endpoint or constants.ENDPOINT,
                tqdm_class=_counter(tell),
            )
        _check(Path(path), file)
        n_done += file.n_bytes
        folder = Path(path).parent
    assert folder is not None, "a model of no files"
    lack = find_lack(folder)
    if lack is not None:
        raise HubError(
            expected=f"{model_id} to be a whole model",
            found=f"no {lack}",
            to_do="Choose a model that transformers can load.",
        )
    _note_as_newest(folder)
    report(PullProgress(n_bytes=n_done, n_total_bytes=remote.n_bytes, file=""))
    return folder


def remove(repository: str, cache_dir: Path | None = None) -> int:
    """Delete all revisions of a model from the cache; the bytes that frees. 0 where none is."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        cache = scan_cache_dir(_cache(cache_dir))
    except CacheNotFound:
        return 0
    commits = [
        revision.commit_hash
        for found in cache.repos
        if found.repo_type == "model" and found.repo_id.lower() == repository.lower()
        for revision in found.revisions
    ]
    if not commits:
        return 0
    strategy = cache.delete_revisions(*commits)
    strategy.execute()
    return int(strategy.expected_freed_size)


def _cache(cache_dir: Path | None) -> Path:
    """Where the hub's library keeps models, unless a place is named."""
    from huggingface_hub import constants

    return cache_dir or Path(constants.HF_HUB_CACHE)


def _note_as_newest(snapshot: Path) -> None:
    """Have the model's bare name mean this commit from now on.

    The cache's own form: snapshots/COMMIT holds the files, refs/main names the commit.
    """
    refs = snapshot.parent.parent / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(snapshot.name, encoding="utf-8")


def _is_wanted(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in WANTED_PATTERNS)


def _file_of(sibling: RepoSibling) -> RemoteFile:
    lfs: Any = sibling.lfs
    return RemoteFile(
        name=sibling.rfilename,
        n_bytes=sibling.size or 0,
        sha256=None if lfs is None else str(lfs.sha256),
    )


def _licence_of(info: ModelInfo) -> str | None:
    card: Any = info.card_data
    licence = None if card is None else card.get("license")
    if licence == "other" and card is not None:
        licence = card.get("license_name") or licence
    return str(licence) if licence else None


def _refuse_full_disk(remote: Remote, cache: Path) -> None:
    place = cache
    while not place.exists():
        place = place.parent
    n_free = shutil.disk_usage(place).free
    if n_free < remote.n_bytes + _SPARE_BYTES:
        raise HubError(
            expected=f"{_gib(remote.n_bytes + _SPARE_BYTES)} free below {cache}",
            found=_gib(n_free),
            to_do="Make room (`fimble models remove NAME`), or name another place in HF_HOME.",
        )


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"


def _check(path: Path, file: RemoteFile) -> None:
    """Compare a file with what the hub says of it; one that differs is not kept."""
    n_bytes = path.stat().st_size
    is_same = n_bytes == file.n_bytes or file.n_bytes == 0
    if is_same and file.sha256 is not None:
        is_same = _sha256(path) == file.sha256
    if not is_same:
        blob = path.resolve()
        path.unlink()
        blob.unlink(missing_ok=True)
        raise HubError(
            expected=f"{file.name} with the checksum that the hub names",
            found=f"{n_bytes} other bytes",
            to_do="Pull the model again; what was damaged is thrown away.",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _counter(tell: Callable[[int], None]) -> type[Any]:
    """A progress bar that draws nothing and tells how many bytes there are."""
    from tqdm import tqdm

    class Counter(tqdm):  # type: ignore[misc]  # It ships no types.
        """Keeps the count of the bytes that are here, those of an earlier pull included."""

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **{**named, "disable": True, "name": None})
            self.count = int(named.get("initial", 0))
            tell(self.count)

        def update(self, n: float | None = 1) -> bool | None:
            self.count += int(n or 0)
            tell(self.count)
            return None

    return Counter


@contextmanager
def _plain_errors(model_id: ModelId) -> Iterator[None]:
    """The hub's failures in words that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            expected=f"leave to read {model_id}",
            found="a model whose terms must be agreed to first",
            to_do="Agree on the model's page, then `hf auth login`, and pull again.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(
            expected=f"the revision {model_id.revision} of {model_id.repository}",
            found="no such revision",
            to_do="Name a branch, tag or commit that it has.",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            expected=f"a model {model_id.repository} on the hub",
            found="none, or one that only its owner may read",
            to_do="Check the name; for a private model, `hf auth login` first.",
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(
            expected=f"{model_id} on this machine, for HF_HUB_OFFLINE is set",
            found="nothing or not all of it",
            to_do="Pull it while HF_HUB_OFFLINE is not set.",
        ) from error
    except (_transport_error(), OSError) as error:
        raise _failed(model_id, error) from error


def _transport_error() -> type[Exception]:
    """What the library raises where no answer came: its error module's name for it.

    Which HTTP library is behind it is the library's own affair.
    """
    from huggingface_hub import errors

    found: type[Exception] = vars(errors)["HTTPError"]
    return found


def _failed(model_id: ModelId, error: Exception) -> HubError:
    if isinstance(error, OSError) and error.errno == 28:
        return HubError(
            expected=f"room on the disk for {model_id}",
            found="a full disk",
            to_do="Make room and pull again; what is here already is kept.",
        )
    return HubError(
        expected=f"the hub to answer for {model_id}",
        found=f"{type(error).__name__}",
        to_do="Look at the network and at HF_ENDPOINT, then pull again; what is here is kept.",
    )
