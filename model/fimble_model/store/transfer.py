"""One large file from the hub into the cache, such that a transfer cut off goes on where it ended.

Owns the unfinished file: the Hugging Face library goes on inside one call, but deletes what it has
when that call fails or is stopped, and of a model that is all. So what is here is kept beside the
blobs under a name of ours, and handed to the library as a blob when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fimble_model.errors import HubError
from fimble_model.store.remote import Remote, RemoteFile

__all__ = ["fetch_blob", "unfinished_bytes"]

_ENDING = ".fimble-part"
# The hub hands larger files out only by a protocol of its own, which the library speaks.
_MOST_PLAIN_BYTES = 50_000_000_000


def fetch_blob(
    remote: Remote, file: RemoteFile, cache: Path, endpoint: str, bar: type[Any]
) -> None:
    """Fetch a file that the hub keeps by its checksum, if it is not a blob of the cache yet.

    Raises what the library raises; `HubError` where another process is fetching it just now.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # made public

    if file.sha256 is None or file.n_bytes > _MOST_PLAIN_BYTES:
        return
    blob = _blobs(remote, cache) / file.sha256
    if blob.exists():
        return
    url = hf_hub_url(remote.repository, file.name, revision=remote.revision, endpoint=endpoint)
    place, headers = _locate(url, endpoint, build_hf_headers())
    part = blob.with_name(file.sha256 + _ENDING)
    part.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(part, remote):
        with part.open("ab") as opened:
            n_here = opened.tell()
            if n_here > file.n_bytes:
                opened.truncate(0)
                n_here = 0
            http_get(
                place,
                opened,
                resume_size=n_here,
                headers=headers,
                expected_size=file.n_bytes,
                tqdm_class=bar,
            )
        part.replace(blob)


def unfinished_bytes(remote: Remote, cache: Path) -> int:
    """Bytes that an earlier transfer has brought of files that are not whole yet."""
    return sum(path.stat().st_size for path in _blobs(remote, cache).glob(f"*{_ENDING}"))


def _blobs(remote: Remote, cache: Path) -> Path:
    return cache / ("models--" + remote.repository.replace("/", "--")) / "blobs"


def _locate(url: str, endpoint: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Where the bytes lie. The user's token goes to the hub alone, not to where it sends us."""
    from huggingface_hub import get_hf_file_metadata

    place = get_hf_file_metadata(url, headers=dict(headers), endpoint=endpoint).location
    if urlsplit(place).netloc != urlsplit(url).netloc:
        headers = {name: each for name, each in headers.items() if name.lower() != "authorization"}
    return place, headers


@contextmanager
def _only_one(part: Path, remote: Remote) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(part.with_name(part.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise HubError(
            expected=f"to be the only one that fetches {remote.repository}",
            found="another process that fetches it just now",
            to_do="Wait for it to end, then try again.",
        ) from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
