"""The source files of a project folder: which there are, and what stands in them.

Owns the walk and its bounds. Reads the disk, so it is for the index's own process and the
terminal. Never follows links and never opens what the rules forbid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fimble_server.context.ignoring import IgnoreRules, is_text, load_rules, read_rules
from fimble_server.document.languages import PLAIN, language_for_path

__all__ = [
    "MOST_FILES",
    "ProjectFile",
    "find_root",
    "is_project",
    "is_sayable",
    "read_text",
    "try_stat",
    "walk_project",
]

# Beyond these a file is data, and a folder no project that one person works in. Guessed.
MOST_FILES = 5_000
_MOST_FILE_BYTES = 400_000
_LONGEST_MEAN_LINE = 200
_MARKERS = (
    ".git",
    ".hg",
    ".fimbleignore",
    "pyproject.toml",
    "setup.py",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "pom.xml",
    "build.gradle",
    "CMakeLists.txt",
    "Makefile",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """A file by its path below the root, `/` between the parts, and what tells a change."""

    path: str
    stamp: tuple[int, int]


def walk_project(
    root: Path, most_files: int = MOST_FILES, secret_names: tuple[str, ...] = ()
) -> Iterator[ProjectFile]:
    """The project's source files, folder by folder in the order of names, at most so many."""
    n_found = 0
    waiting: list[tuple[str, IgnoreRules]] = [("", IgnoreRules(secret_names=secret_names))]
    while waiting:
        folder, outer = waiting.pop()
        rules = outer.within(folder, read_rules(root / folder))
        folders: list[tuple[str, IgnoreRules]] = []
        for entry in _entries(root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not rules.ignores(path, is_folder=True):
                    folders.append((path, rules))
            elif entry.is_file(follow_symlinks=False) and _is_source(path):
                found = None if rules.ignores(path, is_folder=False) else _stat(entry, path)
                if found is not None:
                    yield found
                    n_found += 1
                    if n_found >= most_files:
                        return
        waiting += reversed(folders)


def try_stat(root: Path, path: Path, secret_names: tuple[str, ...] = ()) -> ProjectFile | None:
    """A single file as the walk would give it; None where it would not, or there is none."""
    try:
        relative = path.relative_to(root).as_posix()
        is_file = path.is_file() and not path.is_symlink()
    except (ValueError, OSError):
        return None
    if not is_file or not _is_source(relative):
        return None
    rules = load_rules(root, path.parent, secret_names)
    if rules is None or rules.ignores(relative, is_folder=False):
        return None
    found = next((entry for entry in _entries(path.parent) if entry.name == path.name), None)
    return None if found is None else _stat(found, relative)


def read_text(path: Path) -> str | None:
    """A source file's text with line feeds; None where it is no source text after all."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) > _MOST_FILE_BYTES or not is_text(data):
        return None
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if len(text) > _LONGEST_MEAN_LINE * (text.count("\n") + 1):
        return None  # Minified, or data in the clothes of source.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def find_root(file: Path) -> Path:
    """The project of a file that no client named one for: up to a marker, else its folder.

    A user's whole home is no project, nor is the system's root.
    """
    outside = {Path(file.anchor), Path.home()}
    for folder in file.parents:
        if folder in outside:
            break
        if is_project(folder):
            return folder
    return file.parent


def is_project(folder: Path) -> bool:
    """Whether a folder says that it is a project's root."""
    return any((folder / marker).exists() for marker in _MARKERS)


def is_sayable(path: str) -> bool:
    """Whether a file's name is text. Those that are no UTF-8 reach us as lone surrogates."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_source(path: str) -> bool:
    """Whether a name is a source file's, and one that an editor could name too."""
    return language_for_path(path) is not PLAIN and is_sayable(path)


def _stat(entry: os.DirEntry[str], path: str) -> ProjectFile | None:
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if stat.st_size > _MOST_FILE_BYTES:
        return None
    return ProjectFile(path=path, stamp=(stat.st_mtime_ns, stat.st_size))
