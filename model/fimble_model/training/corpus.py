"""Fetching the sources: packages from the index, the interpreter's own library from disk.

Owns downloads and unpacking. Reads a package's metadata first and refuses it there if its
licence is not permissive: no source file of a refused package is ever opened. Never judges a
file's content; that is `cleaning`. Never runs a package's code: wheels only, for an sdist would
run its build script.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from fimble_model.training.documents import Document, write_documents
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.licences import LicenceVerdict, judge_licence
from fimble_model.training.sources import Origin, Source

__all__ = ["FetchedSource", "Package", "fetch_corpus", "load_fetch_report", "read_wheel"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What one source delivered."""

    version: str
    verdict: LicenceVerdict
    documents: tuple[Document, ...]


def fetch_corpus(
    sources: tuple[Source, ...], folder: Path, *, on_source: Callable[[Source], None]
) -> tuple[FetchedSource, ...]:
    """Fetch every source into `folder`; sources already there are kept.

    Leaves `folder/raw/NAME.jsonl` for each source that was accepted, and `fetch.json`. Raises
    `TrainingError` where a package cannot be had; what came before it stays.
    """
    raw_folder = folder / "raw"
    raw_folder.mkdir(parents=True, exist_ok=True)
    known = {fetched.name: fetched for fetched in load_fetch_report(folder)}
    for source in sources:
        if not _is_fetched(known.get(source.name), source, raw_folder):
            known[source.name] = _fetch_source(source, folder)
            rows = [asdict(known[each.name]) for each in sources if each.name in known]
            text = json.dumps(rows, indent=1) + "\n"
            (folder / "fetch.json").write_text(text, encoding="utf-8")
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
        package = _deliver(source, folder)
    except LicenceError as error:
        log.warning("%s is left out: %s", source.name, error)
        return FetchedSource(
            name=source.name,
            version=source.version or "",
            licence=error.found,
            licence_stated_in="",
            held_out=source.held_out,
            n_files=0,
            n_chars=0,
            refused=str(error),
        )
    write_documents(package.documents, folder / "raw" / f"{source.name}.jsonl")
    return FetchedSource(
        name=source.name,
        version=package.version,
        licence=package.verdict.licence,
        licence_stated_in=package.verdict.stated_in,
        held_out=source.held_out,
        n_files=len(package.documents),
        n_chars=sum(len(document.text) for document in package.documents),
        refused=None,
    )


def _deliver(source: Source, folder: Path) -> Package:
    if source.origin is Origin.INTERPRETER:
        return _read_interpreter(source)
    return read_wheel(_download(source, folder / "downloads"), source.name)


def _download(source: Source, folder: Path) -> Path:
    """The package's wheel; pip does the fetching and the checking."""
    target = folder / source.name
    pinned = source.name if source.version is None else f"{source.name}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "-d", str(target), pinned]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
    )
    wheels = sorted(target.glob("*.whl")) if done.returncode == 0 else []
    if not wheels:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise TrainingError(
            expected=f"a wheel of {pinned} from the package index",
            found=complaints[-1] if complaints else "none",
            to_do="Check its name and version, and that pip can reach its index; then run again.",
        )
    return wheels[-1]


def read_wheel(wheel: Path, name: str) -> Package:
    """Version, verdict and Python files of a wheel; `LicenceError` before any file is read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            metadata = _read_metadata(archive, wheel)
            verdict = judge_licence(metadata)
            version = re.search(r"^Version: *(.*)$", metadata, re.MULTILINE)
            found_version = version[1].strip() if version else ""
            if not verdict.is_permissive:
                raise LicenceError(
                    expected=f"a permissive licence in the metadata of {name} {found_version}",
                    found=f"{verdict.licence!r} in its {verdict.stated_in}",
                    to_do="Take it off the list of sources.",
                )
            files = ((path, archive.read(path)) for path in archive.namelist() if _is_wanted(path))
            documents = tuple(_read_files(files, name))
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(
            expected=f"a wheel in {wheel.name}",
            found=f"{type(error).__name__}",
            to_do="Delete the download and run the stage again.",
        ) from error
    return Package(version=found_version, verdict=verdict, documents=documents)


def _read_metadata(archive: zipfile.ZipFile, wheel: Path) -> str:
    """The wheel's own core metadata; those of packages inside it lie deeper."""
    candidates = [path for path in archive.namelist() if path.endswith(".dist-info/METADATA")]
    if not candidates:
        raise LicenceError(
            expected=f"METADATA in {wheel.name}",
            found="none",
            to_do="Take it off the list: without metadata its licence is unknown.",
        )
    nearest = min(candidates, key=lambda path: (path.count("/"), path))
    return archive.read(nearest).decode("utf-8", errors="replace")


def _read_interpreter(source: Source) -> Package:
    """The running interpreter's own library, whose licence is known by what it is."""
    library = Path(sysconfig.get_path("stdlib"))
    paths = {str(path.relative_to(library)): path for path in library.rglob("*.py")}
    files = ((name, path.read_bytes()) for name, path in paths.items() if _is_wanted(name))
    return Package(
        version=".".join(str(part) for part in sys.version_info[:3]),
        verdict=LicenceVerdict(
            is_permissive=True, licence="PSF-2.0", stated_in="the interpreter's LICENSE"
        ),
        documents=tuple(_read_files(files, source.name)),
    )


def _read_files(files: Iterable[tuple[str, bytes]], package: str) -> Iterator[Document]:
    """The files that are text, in the order of their paths."""
    for path, data in sorted(files):
        text = _decode(data)
        if text is not None:
            yield Document(package=package, path=path, text=text)


def _is_wanted(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith(".py") and not _FOREIGN_FOLDERS.intersection(parts)


def _decode(data: bytes) -> str | None:
    """Text with `\\n` line ends, or None where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None
