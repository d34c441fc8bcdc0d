"""What a source delivers: its version, what may be learned from it, and its files as text.

Owns reading files' bytes into documents: which paths are wanted, what is too big or no text.
Never judges a licence and never downloads; each origin has a file of its own for that.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fimble_model.training.documents import Document
from fimble_model.training.faults import TrainingError
from fimble_model.training.languages import language_of
from fimble_model.training.licences import LicenceVerdict

__all__ = ["Member", "Package", "ReadFiles", "fetch_with", "is_wanted", "read_members"]

_DOWNLOAD_TIMEOUT_S = 600
_MAX_FILE_BYTES = 1_000_000
# The files of these folders are other projects' under other licences, or no program text.
_FOREIGN_FOLDERS = frozenset(
    {"_vendor", "vendor", "_vendored", "vendored", "extern", "externals", "external", "_distutils",
     "third_party", "thirdparty", "third-party", "3rdparty", "submodules", "site-packages",
     "dist-packages", "node_modules", "bower_components", "__pycache__", "idlelib", "lib2to3",
     "ensurepip", "migrations", "locale", "locales", "debian", "Godeps"}
)  # fmt: skip
# Folders that are other people's, or a compiler's, except in Python.
_FOREIGN_FOLDERS_ELSEWHERE = frozenset(
    {"contrib", "deps", "dist", "build", "umd", "cjs", "bundles", "fesm2022", "fesm2015", "esm5"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What one source delivered. `skipped` counts wanted files that could not be taken."""

    version: str
    verdict: LicenceVerdict
    documents: tuple[Document, ...]
    skipped: dict[str, int]


class Member(NamedTuple):
    """One file of an archive: where, how big, and how to read it."""

    path: str
    n_bytes: int
    read: Callable[[], bytes]


class ReadFiles(NamedTuple):
    """Documents in the order of their paths, and what was passed over."""

    documents: tuple[Document, ...]
    skipped: dict[str, int]


def is_wanted(path: str, languages: Collection[str] | None = None) -> bool:
    """True for program text that is the package's own; `languages` restricts it to these."""
    language = language_of(path)
    if language is None:
        return False
    folders = set(PurePosixPath(path).parts[:-1])
    if language.name != "python" and folders & _FOREIGN_FOLDERS_ELSEWHERE:
        return False
    if folders & _FOREIGN_FOLDERS:
        return False
    return languages is None or language.name in languages


def read_members(members: Iterable[Member], package: str) -> ReadFiles:
    """Read the members that are text. One that cannot be read, or is huge, is counted and left."""
    skipped: Counter[str] = Counter()
    documents: list[Document] = []
    # In the archive's own order: going back in a packed archive means unpacking it again.
    for member in members:
        if member.n_bytes > _MAX_FILE_BYTES:
            skipped["huge"] += 1
            continue
        try:
            text = member.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            skipped["not UTF-8"] += 1
        except OSError:
            skipped["unreadable"] += 1
        else:
            if "\0" in text:
                skipped["not text"] += 1
                continue
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            documents.append(Document(package=package, path=member.path, text=text))
    documents.sort(key=lambda document: document.path)
    return ReadFiles(tuple(documents), dict(skipped))


def fetch_with(command: Sequence[str], *, folder: Path, pattern: str, what: str) -> Path:
    """Run a package manager in `folder` unless what it fetches is there; returns the file.

    Raises `TrainingError` where the command fails, is missing, or leaves no such file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if found := sorted(folder.glob(pattern)):
        return found[-1]
    complaint = "none"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            check=False,
        )
        errors = [line for line in done.stderr.splitlines() if _is_complaint(line)]
        complaint = errors[-1] if errors else complaint
    except FileNotFoundError:
        complaint = f"no command {command[0]}"
    except subprocess.TimeoutExpired:
        complaint = f"no answer within {_DOWNLOAD_TIMEOUT_S} s"
    found = sorted(folder.glob(pattern))
    if not found:
        raise TrainingError(
            expected=what,
            found=complaint,
            to_do="Check its name and version, and that the package manager can reach its index; "
            "then run again.",
        )
    return found[-1]


def _is_complaint(line: str) -> bool:
    return line.startswith(("ERROR", "E: ", "npm error"))
