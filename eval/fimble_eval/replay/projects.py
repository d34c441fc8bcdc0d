"""The packages of a replay as projects: their files on disk, indexed as the server indexes them.

Owns where they lie. A package is indexed when it is first typed in. The file that is typed is in
its own index, as in a real project: what an editor has open counts in its stead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fimble_eval.replay.places import SourceFile
from fimble_server.completion.snapshot import ProjectPlace
from fimble_server.context.indexing import open_index, places_for

__all__ = ["IndexedProject", "Projects"]


class IndexedProject(NamedTuple):
    """A package's name and root, its index, and the folders of its tokens."""

    name: str
    root: Path
    chunks: Path
    token_folders: tuple[Path, ...]


@dataclass(slots=True, kw_only=True)
class Projects:
    """Keeps the invariant that a package is written and indexed once, below `folder`."""

    folder: Path
    model_folder: Path
    sources: Sequence[SourceFile] = field(repr=False)
    _known: dict[str, IndexedProject] = field(default_factory=dict, init=False)

    def project_of(self, package: str) -> IndexedProject:
        """A package, indexed."""
        found = self._known.get(package)
        if found is None:
            found = self._known[package] = self._index(package)
        return found

    def uri_of(self, source: SourceFile) -> str:
        """What an editor would call the file."""
        return (self._root_of(source.package) / self._path_of(source)).as_uri()

    def place_of(self, source: SourceFile) -> ProjectPlace:
        """Where a file stands in its project."""
        project = self.project_of(source.package)
        return ProjectPlace(name=project.name, path=self._path_of(source), index=project.chunks)

    def _root_of(self, package: str) -> Path:
        return self.folder / "projects" / package

    def _path_of(self, source: SourceFile) -> str:
        return source.name.removeprefix(f"{source.package}/")

    def _index(self, package: str) -> IndexedProject:
        root, cache = self._root_of(package), self.folder / "cache"
        for source in self.sources:
            if source.package == package:
                path = root / self._path_of(source)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(source.text, encoding="utf-8")
        index = open_index(root, cache, self.model_folder)
        for _ in index.update_all():
            pass
        folders = () if index.tokens is None else tuple(index.tokens.folders)
        index.close()
        return IndexedProject(package, root, places_for(cache, root).chunks, folders)
