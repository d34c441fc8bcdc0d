"""Fetching the sources: packages from the index, the interpreter's own library from disk.

Owns downloads and unpacking. Reads a package's metadata first and refuses it there if its
licence is not permissive: no source file of a refused package is ever opened. Never judges a
file's content; that is `cleaning`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from fimble_model.training.documents import Document, write_documents
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.licences import LicenceVerdict, judge_licence
from fimble_model.training.sources import Origin, Source

__all__ = ["FetchedSource", "fetch_corpus", "load_fetch_report", "read_package"]

log = logging.getLogger(__name__)

_DOWNLOAD_TIMEOUT_S = 600
# The files of these folders are other projects' under other licences, or no program text.
_FOREIGN_FOLDERS = frozenset(
    {"_vendor", "vendor", "_vendored", "vendored", "extern", "externals", "_distutils",
     "third_party", "thirdparty", "site-packages", "dist-packages", "__pycache__", "idlelib",
     "lib2to3", "ensurepip", "migrations", "locale"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSource:
    """What became of one source: its version and licence, its size, or why it was refused."""

    name: str
    version: str
    licence: str
    licence_stated_in: str
    held_out: bool
    n_files: int
    n_chars: int
    refused: str | None


def fetch_corpus(
    sources: tuple[Source, ...], folder: Path, *, on_source: Callable[[Source], None]
) -> tuple[FetchedSource, ...]:
    """Fetch every source into `folder`; sources already there are kept.

    Leaves `folder/raw/NAME.jsonl` for each source that was accepted, and `fetch.json`.
    """
    raw_folder = folder / "raw"
    raw_folder.mkdir(parents=True, exist_ok=True)
    report_path = folder / "fetch.json"
    known = {fetched.name: fetched for fetched in load_fetch_report(folder)}
    for source in sources:
        if not _is_fetched(known.get(source.name), source, raw_folder):
            known[source.name] = _fetch_source(source, folder)
            rows = [asdict(known[each.name]) for each in sources if each.name in known]
            report_path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        on_source(source)
    return tuple(known[source.name] for source in sources)


def load_fetch_report(folder: Path) -> tuple[FetchedSource, ...]:
    """What an earlier `fetch_corpus` into `folder` did; empty where there was none."""
    path = folder / "fetch.json"
    if not path.is_file():
        return ()
    return tuple(FetchedSource(**row) for row in json.loads(path.read_text(encoding="utf-8")))


def _is_fetched(fetched: FetchedSource | None, source: Source, raw_folder: Path) -> bool:
    if fetched is None or source.version not in (None, fetched.version):
        return False
    return fetched.refused is not None or (raw_folder / f"{source.name}.jsonl").is_file()


def _fetch_source(source: Source, folder: Path) -> FetchedSource:
    try:
        version, verdict, documents = (
            _read_interpreter(source)
            if source.origin is Origin.INTERPRETER
            else read_package(_download(source, folder / "downloads"), source.name)
        )
    except TrainingError as error:
        log.warning("%s is left out: %s", source.name, error)
        return FetchedSource(
            name=source.name, version=source.version or "", licence=source.licence,
            licence_stated_in="", held_out=source.held_out, n_files=0, n_chars=0,
            refused=str(error),
        )  # fmt: skip
    kept = list(documents)
    write_documents(kept, folder / "raw" / f"{source.name}.jsonl")
    return FetchedSource(
        name=source.name, version=version, licence=verdict.licence,
        licence_stated_in=verdict.stated_in, held_out=source.held_out, n_files=len(kept),
        n_chars=sum(len(document.text) for document in kept), refused=None,
    )  # fmt: skip


def _download(source: Source, folder: Path) -> Path:
    """The package's archive, wheel if there is one; pip does the fetching and the checking."""
    target = folder / source.name
    pinned = source.name if source.version is None else f"{source.name}=={source.version}"
    for only in ("--only-binary=:all:", "--no-binary=:all:"):
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--disable-pip-version-check", "--no-build-isolation", only, "-d", str(target), pinned,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
        )
        archives = sorted(target.glob("*")) if done.returncode == 0 else []
        if archives:
            return archives[-1]
    raise TrainingError(
        expected=f"the package index to deliver {pinned}",
        found=(done.stderr.strip().splitlines() or ["nothing"])[-1],
        to_do="Check the name and version, and that pip can reach its index.",
    )


def read_package(archive: Path, name: str) -> tuple[str, LicenceVerdict, Iterator[Document]]:
    """Version, verdict and Python files of a wheel or sdist; refuses by licence before reading."""
    files = _open_archive(archive)
    metadata = _find_metadata(files, archive)
    version = next(
        (line[8:].strip() for line in metadata.splitlines() if line.startswith("Version:")), ""
    )
    verdict = judge_licence(metadata)
    if not verdict.is_permissive:
        raise LicenceError(
            expected=f"a permissive licence in the metadata of {name} {version}",
            found=f"{verdict.licence!r} in its {verdict.stated_in}",
            to_do="Take it off the list of sources.",
        )
    return version, verdict, _read_members(files, name)


Members = dict[str, Callable[[], bytes]]


def _open_archive(archive: Path) -> Members:
    """Name to reader for each file of the archive; reading is put off until called."""
    try:
        if archive.suffix in {".whl", ".zip"}:
            wheel = zipfile.ZipFile(archive)
            return {n: (lambda n=n: wheel.read(n)) for n in wheel.namelist()}  # type: ignore[misc]
        sdist = tarfile.open(archive)  # noqa: SIM115  the readers returned use it later
        members = [member for member in sdist.getmembers() if member.isfile()]
    except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise TrainingError(
            expected=f"a wheel or sdist in {archive.name}",
            found=f"{type(error).__name__}",
            to_do="Delete the download and run the stage again.",
        ) from error
    return {m.name: (lambda m=m: _read_tar_member(sdist, m)) for m in members}  # type: ignore[misc]


def _read_tar_member(sdist: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = sdist.extractfile(member)
    return b"" if file is None else file.read()


def _find_metadata(files: Members, archive: Path) -> str:
    """The core metadata nearest to the archive's root."""
    candidates = [
        path
        for path in files
        if path.endswith((".dist-info/METADATA", "/PKG-INFO")) and "_vendor" not in path
    ]
    if not candidates:
        raise LicenceError(
            expected=f"METADATA or PKG-INFO in {archive.name}",
            found="neither",
            to_do="Take it off the list: without metadata its licence is unknown.",
        )
    nearest = min(candidates, key=lambda path: (path.count("/"), path))
    return files[nearest]().decode("utf-8", errors="replace")


def _read_members(files: Members, package: str) -> Iterator[Document]:
    for path in sorted(files):
        if _is_wanted(path):
            text = _decode(files[path]())
            if text is not None:
                yield Document(package=package, path=path, text=text)


def _read_interpreter(
    source: Source,
) -> tuple[str, LicenceVerdict, Iterator[Document]]:
    """The running interpreter's own library, whose licence is known by what it is."""
    library = Path(sysconfig.get_path("stdlib"))
    files: Members = {
        str(path.relative_to(library)): path.read_bytes for path in library.rglob("*.py")
    }
    verdict = LicenceVerdict(
        is_permissive=True, licence="PSF-2.0", stated_in="the interpreter's LICENSE"
    )
    version = ".".join(str(part) for part in sys.version_info[:3])
    return version, verdict, _read_members(files, source.name)


def _is_wanted(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith(".py") and not _FOREIGN_FOLDERS.intersection(parts)


def _decode(data: bytes) -> str | None:
    """Text with `\\n` line ends, or None where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None
