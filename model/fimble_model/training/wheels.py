"""Python packages: wheels from the index, and the interpreter's own library.

Owns the reading of wheels. Reads a package's metadata first and refuses it there if its licence
is not permissive. Never runs a package's code: wheels only, for an sdist runs its build script.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import zipfile
from functools import partial
from pathlib import Path

from fimble_model.training.deliveries import (
    Member,
    Package,
    fetch_with,
    is_wanted,
    read_members,
)
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.licences import LicenceVerdict, judge_licence
from fimble_model.training.sources import Source

__all__ = ["fetch_wheel", "read_interpreter", "read_wheel"]

# What wheels hold of JavaScript and C is mostly other projects', under licences of their own.
_LANGUAGES = frozenset({"python", "sql", "shell", "yaml", "toml", "markdown"})


def fetch_wheel(source: Source, folder: Path) -> Package:
    """The package's wheel; pip does the fetching and the checking."""
    pinned = source.name if source.version is None else f"{source.name}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "-d", ".", pinned]
    pattern = "*.whl" if source.version is None else f"*-{source.version}-*.whl"
    what = f"a wheel of {pinned} from the package index"
    wheel = fetch_with(command, folder=folder, pattern=pattern, what=what)
    return read_wheel(wheel, source.name)


def read_wheel(wheel: Path, name: str) -> Package:
    """Version, verdict and files of a wheel; `LicenceError` before any file is read."""
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
            members = (
                Member(info.filename, info.file_size, partial(archive.read, info))
                for info in archive.infolist()
                if is_wanted(info.filename, _LANGUAGES)
            )
            documents, skipped = read_members(members, name)
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(
            expected=f"a wheel in {wheel.name}",
            found=f"{type(error).__name__}",
            to_do="Delete the download and run the stage again.",
        ) from error
    return Package(version=found_version, verdict=verdict, documents=documents, skipped=skipped)


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


def read_interpreter(source: Source) -> Package:
    """The running interpreter's own library, whose licence is known by what it is."""
    library = Path(sysconfig.get_path("stdlib"))
    members = (
        Member(str(path.relative_to(library)), path.stat().st_size, path.read_bytes)
        for path in library.rglob("*.py")
        if is_wanted(str(path.relative_to(library)))
    )
    documents, skipped = read_members(members, source.name)
    return Package(
        version=".".join(str(part) for part in sys.version_info[:3]),
        verdict=LicenceVerdict(
            is_permissive=True, licence="PSF-2.0", stated_in="the interpreter's LICENSE"
        ),
        documents=documents,
        skipped=skipped,
    )
