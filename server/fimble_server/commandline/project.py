"""The project of a file that a terminal completes in: its index, read or brought up to date.

Owns the way to the index without a server: the same files in the user's cache, in this process,
with the progress on stderr where somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fimble_server.completion.snapshot import ProjectPlace
from fimble_server.context.indexing import open_index, places_for, try_lock
from fimble_server.context.project_files import find_root, is_project
from fimble_server.context.token_store import read_folders

__all__ = ["KnownProject", "know_project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProject:
    """A project's root, the file of its chunks, and the folders of its tokens."""

    root: Path
    chunks: Path
    token_folders: tuple[Path, ...]

    def place_of(self, path: Path) -> ProjectPlace:
        """Where a file stands in it."""
        relative = path.relative_to(self.root).as_posix()
        return ProjectPlace(name=self.root.name, path=relative, index=self.chunks)


def know_project(
    path: Path, *, cache: Path, model_folder: Path | None, secret_names: tuple[str, ...] = ()
) -> KnownProject | None:
    """The indexed project of a file; None where its folder has no mark of a project.

    An index that a server keeps up to date at this moment is read as it is.
    """
    root = find_root(path)
    if not is_project(root):
        return None
    places = places_for(cache, root)
    lock = try_lock(places.lock)
    if lock is None:
        folders = read_folders(places.folder, model_folder)
        return KnownProject(root=root, chunks=places.chunks, token_folders=folders)
    try:
        index = open_index(root, cache, model_folder, secret_names)
        columns = (TextColumn("reading the project"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            for step in index.update_all():
                bar.update(task, completed=step.n_done, total=step.n_all)
        folders = () if index.tokens is None else tuple(index.tokens.folders)
        index.close()
    finally:
        lock.close()
    return KnownProject(root=root, chunks=places.chunks, token_folders=folders)
