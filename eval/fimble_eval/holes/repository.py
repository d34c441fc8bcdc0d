"""The source files of a folder of repositories, or of a corpus file.

Owns which files count: text in a language we know, written by hand, holding no secrets. Reads
only; symbolic links are not followed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fimble_server.completion.page import with_line_feeds
from fimble_server.context.secret_files import find_secrecy
from fimble_server.document.languages import PLAIN, language_for_path
from fimble_server.errors import FimbleError

__all__ = ["SourceFile", "read_sources"]

_MOST_FILE_BYTES = 200_000
_MOST_LINE_CHARS = 1_000
_FOREIGN_FOLDERS = frozenset(
    {"node_modules", "vendor", "_vendor", "third_party", "__pycache__", "dist", "build", "target"}
)
_PROJECT_MARKS = frozenset(
    {".git", "pyproject.toml", "setup.py", "package.json", "Cargo.toml", "go.mod", "pom.xml"}
)
# Prose and data say little about how well code is completed.
_NO_CODE = frozenset({PLAIN.language_id, "markdown", "json", "jsonc", "xml", "ini", "html"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of a package; `path` is relative to the package, and ends of lines are `\\n`."""

    package: str
    path: str
    language_id: str
    text: str = field(repr=False)


def read_sources(place: Path) -> list[SourceFile]:
    """All source files there, in the order of packages and paths.

    A folder is one package, or one of packages where it is no project itself; a file is JSON
    lines with package, path and text. Raises `FimbleError` where nothing is found.
    """
    files = list(_read_corpus(place) if place.is_file() else _walk(place))
    if not files:
        raise FimbleError(
            expected="source files in a language that Fimble knows",
            found=f"none in {place}",
            to_do="Name a repository, a folder of repositories, or a file that "
            "`fimble-train corpus` wrote.",
        )
    return sorted(files, key=lambda file: (file.package, file.path))


def _walk(place: Path) -> Iterator[SourceFile]:
    if not place.is_dir():
        return
    names = {entry.name for entry in place.iterdir()}
    is_project = bool(names & _PROJECT_MARKS) or any(
        language_for_path(name).language_id not in _NO_CODE for name in names
    )
    roots = [place] if is_project else [entry for entry in place.iterdir() if entry.is_dir()]
    for root in roots:
        package = root.resolve().name
        for folder, folders, file_names in os.walk(root):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _FOREIGN_FOLDERS and not name.startswith(".")
            )
            for name in sorted(file_names):
                path = Path(folder) / name
                file = _try_file(package, path.relative_to(root).as_posix(), _try_read(path))
                if file is not None:
                    yield file


def _try_read(path: Path) -> str | None:
    if language_for_path(path.name).language_id in _NO_CODE or path.is_symlink():
        return None
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            return None
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _read_corpus(place: Path) -> Iterator[SourceFile]:
    n_read = 0
    try:
        with place.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                n_read += 1
                document: dict[str, Any] = json.loads(line)
                parts = (document["package"], document["path"], document["text"])
                file = _try_file(*map(str, parts))
                if file is not None:
                    yield file
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FimbleError(
            expected='lines like {"package": ..., "path": ..., "text": ...}',
            found=f"{type(error).__name__} at line {n_read} of {place.name}",
            to_do="Name a file that `fimble-train corpus` wrote, or a folder.",
        ) from error


def _try_file(package: str, path: str, text: str | None) -> SourceFile | None:
    """The file where it counts: not minified, not empty, no secrets by its name."""
    language_id = language_for_path(path).language_id
    if not text or language_id in _NO_CODE or find_secrecy(path) is not None:
        return None
    text = with_line_feeds(text)
    if max(map(len, text.split("\n"))) > _MOST_LINE_CHARS:
        return None
    return SourceFile(package=package, path=path, language_id=language_id, text=text)
