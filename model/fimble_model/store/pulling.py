"""The way from the hub into the cache.

Owns fetching and checking. The Hugging Face library does the transfers: it finds the user's own
token, and honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE. We pin the revision, see first that
there is room, compare every checksum, and take nothing for whole that is not. Prints nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimble_model.errors import HubError
from fimble_model.store.cache import CachedModel, cache_folder, discard, find_cached
from fimble_model.store.hub_errors import plain_errors
from fimble_model.store.remote import Remote, RemoteFile
from fimble_model.store.transfer import fetch_blob, unfinished_bytes
from fimble_model.store.wholeness import INDEX_FILE, shards_of

__all__ = ["PullProgress", "pull"]

# What a file system needs besides the files themselves. Guessed.
_SPARE_BYTES = 2**28


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """Bytes that are here, of all, and the file that is being fetched or checked."""

    n_bytes: int
    n_total_bytes: int
    file: str


_OnProgress = Callable[[PullProgress], None]


def pull(
    remote: Remote,
    *,
    with_code: bool = False,
    on_progress: _OnProgress | None = None,
    cache_dir: Path | None = None,
    endpoint: str | None = None,
) -> CachedModel:
    """Fetch what is not here yet of a model, and check all of it.

    A pull that was cut off goes on where it ended. Python that the model brings is left where it
    is unless `with_code`. Raises `HubError` where there is no room, the hub fails, or a file is
    not what the hub says it is; that file is then thrown away.
    """
    files = (*remote.files, *(remote.code if with_code else ()))
    n_total = sum(file.n_bytes for file in files)
    cache, report = cache_folder(cache_dir), on_progress or (lambda progress: None)
    _refuse_full_disk(remote, files, cache)
    n_done, folder = 0, None
    for file in sorted(files, key=lambda each: each.n_bytes):

        def tell(n_bytes: int, name: str = file.name, n_before: int = n_done) -> None:
            report(PullProgress(n_bytes=n_before + n_bytes, n_total_bytes=n_total, file=name))

        tell(0)
        path = _fetch(remote, file, cache, endpoint, tell)
        if file.name == INDEX_FILE:
            _refuse_missing_shards(remote, path)
        n_done += file.n_bytes
        folder = path.parent
    assert folder is not None, "a model of no files"
    _note_as_newest(folder)
    model = find_cached(remote.pinned, cache)
    if model is None or model.lack is not None:
        raise HubError(
            expected=f"{remote.pinned} to be a whole model",
            found="one that cannot be read" if model is None else f"no {model.lack}",
            to_do="Choose a model that transformers can load.",
        )
    report(PullProgress(n_bytes=n_done, n_total_bytes=n_total, file=""))
    return model


def _fetch(
    remote: Remote,
    file: RemoteFile,
    cache: Path,
    endpoint: str | None,
    tell: Callable[[int], None],
) -> Path:
    """One file, whole and as the hub has it: what lay here damaged is fetched anew."""
    from huggingface_hub import constants, hf_hub_download

    was_here = _is_here(remote, file, cache)
    endpoint, bar = endpoint or constants.ENDPOINT, _counter(tell)
    while True:
        with plain_errors(remote.pinned):
            if not was_here:
                fetch_blob(remote, file, cache, endpoint, bar)
            path = Path(
                hf_hub_download(
                    remote.repository,
                    file.name,
                    revision=remote.revision,
                    cache_dir=cache,
                    endpoint=endpoint,
                    tqdm_class=bar,
                )
            )
        if _is_same(path, file):
            return path
        discard(path)
        if not was_here:
            raise HubError(
                expected=f"{file.name} with the checksum that the hub names",
                found="other bytes",
                to_do="Pull the model again; what was damaged is thrown away.",
            )
        was_here = False


def _is_here(remote: Remote, file: RemoteFile, cache: Path) -> bool:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(
        remote.repository, file.name, revision=remote.revision, cache_dir=cache
    )
    return isinstance(path, str)


def _is_same(path: Path, file: RemoteFile) -> bool:
    if file.n_bytes and path.stat().st_size != file.n_bytes:
        return False
    if file.sha256 is None:
        return True
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _refuse_missing_shards(remote: Remote, index: Path) -> None:
    """Look before the shards are fetched whether all that the index names are there."""
    missing = sorted(shards_of(index) - {file.name for file in remote.files})
    if missing:
        raise HubError(
            expected=f"the files that {INDEX_FILE} of {remote.pinned} names",
            found=f"no {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            to_do="Choose another model or revision: its makers have not uploaded all of it.",
        )


def _refuse_full_disk(remote: Remote, files: tuple[RemoteFile, ...], cache: Path) -> None:
    place = cache
    while not place.exists():
        place = place.parent
    n_missing = sum(file.n_bytes for file in files if not _is_here(remote, file, cache))
    n_missing -= unfinished_bytes(remote, cache)
    if n_missing <= 0:
        return
    n_free = shutil.disk_usage(place).free
    if n_free < n_missing + _SPARE_BYTES:
        raise HubError(
            expected=f"{_gib(n_missing + _SPARE_BYTES)} free below {cache}",
            found=_gib(n_free),
            to_do="Make room (`fimble models remove NAME`), or name another place in HF_HOME.",
        )


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"


def _note_as_newest(snapshot: Path) -> None:
    """Have the model's bare name mean this commit from now on."""
    refs = snapshot.parent.parent / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(snapshot.name, encoding="utf-8")


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
