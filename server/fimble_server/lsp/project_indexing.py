"""The indices of one client's project folders, and what becomes of their news.

Owns which folders are indexed and for which model. Runs on the event loop; folders come from
the client, or from the first file where the client names none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from fimble_model.engine.memories import pays_for
from fimble_model.engine.protocol import ModelInfo
from fimble_server.completion.snapshot import ProjectPlace
from fimble_server.context.indexing import places_for
from fimble_server.lsp.index_process import IndexNews, IndexProcess
from fimble_server.lsp.indexing_progress import IndexingProgress

__all__ = ["ProjectIndexing", "try_path"]

log = logging.getLogger(__name__)

# More folders than these in one window are not one project. Guessed.
_MOST_FOLDERS = 4


class ProjectIndexing:
    """Keeps the invariant that a process runs for each folder, for the model that is loaded."""

    def __init__(
        self,
        *,
        cache: Path | None,
        find_model_folder: Callable[[], Path | None],
        take_folders: Callable[[tuple[Path, ...]], None],
        progress: IndexingProgress,
    ) -> None:
        self._cache = cache
        self._find_model_folder = find_model_folder
        self._take_folders = take_folders
        self._progress = progress
        self._model: ModelInfo | None = None
        self._is_wanted = True
        self._secret_names: tuple[str, ...] = ()
        self._processes: dict[Path, IndexProcess] = {}
        self._token_folders: dict[Path, tuple[Path, ...]] = {}

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders, the first named first."""
        return tuple(self._processes)

    def place_of(self, uri: str) -> ProjectPlace | None:
        """Where a file stands in its project; None where it is in none that is indexed."""
        path = try_path(uri)
        if path is None or self._cache is None or not self._is_wanted:
            return None
        for root in self._processes:
            if path.is_relative_to(root):
                return ProjectPlace(
                    name=root.name,
                    path=path.relative_to(root).as_posix(),
                    index=places_for(self._cache, root).chunks,
                )
        return None

    def want(self, is_wanted: bool, secret_names: tuple[str, ...] = ()) -> None:
        """The settings: whether there is to be an index at all, and without which files."""
        if (is_wanted, secret_names) != (self._is_wanted, self._secret_names):
            self._is_wanted, self._secret_names = is_wanted, secret_names
            self._restart()

    def change_folders(self, *, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        """The client's folders as URIs. Those that are no local folder are left out."""
        for uri in removed:
            path = try_path(uri)
            if path is not None and path in self._processes:
                self._processes.pop(path).stop()
                self._token_folders.pop(path, None)
                self._hand_over()
        for uri in added:
            path = try_path(uri)
            if path is not None:
                self._add(path)

    def note_opened(self, uri: str) -> None:
        """A file was opened: where the client named no folder, it says which project this is."""
        path = try_path(uri)
        if path is not None and not self._processes:
            self._add(path.parent, is_lone=True)

    def take_model(self, model: ModelInfo | None) -> None:
        """A model is loaded, or none is: the tokens kept are its tokenizer's."""
        if model is not None and model != self._model:
            self._model = model
            self._restart()

    def note_changed(self, uris: Sequence[str]) -> None:
        """Files have changed on disk."""
        paths = [path for uri in uris if (path := try_path(uri)) is not None]
        for process in self._processes.values():
            process.note_changed(paths)

    def stop(self) -> None:
        """The client is gone. Twice is harmless."""
        for process in self._processes.values():
            process.stop()
        self._progress.end()

    def _add(self, root: Path, *, is_lone: bool = False) -> None:
        is_inside = any(root.is_relative_to(other) for other in self._processes)
        if self._cache is None or is_inside or len(self._processes) >= _MOST_FOLDERS:
            return
        process = IndexProcess(
            root=root,
            is_lone=is_lone,
            cache=self._cache,
            on_news=lambda news: self._take_news(root, news),
        )
        self._processes[root] = process
        self._start(process)

    def _restart(self) -> None:
        self._token_folders.clear()
        self._hand_over()
        for process in self._processes.values():
            process.stop()
            self._start(process)

    def _start(self, process: IndexProcess) -> None:
        if self._model is not None and self._is_wanted:
            wants_tokens = pays_for(self._model.n_parameters)
            model_folder = self._find_model_folder() if wants_tokens else None
            process.start(model_folder, self._secret_names)

    def _take_news(self, root: Path, news: IndexNews) -> None:
        if news.folders is not None:
            self._token_folders[root] = news.folders
            self._hand_over()
        if news.share_done is not None:
            self._progress.take(news.share_done)
        if news.is_ready:
            log.info("a project is indexed")
            self._progress.end()

    def _hand_over(self) -> None:
        self._take_folders(
            tuple(folder for folders in self._token_folders.values() for folder in folders)
        )


def try_path(uri: str) -> Path | None:
    """The local path of a file's URI; None for other schemes, and for what is no URI at all.

    >>> try_path("file:///shop/a%20b.py"), try_path("untitled:Untitled-1")
    (PosixPath('/shop/a b.py'), None)
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # A bracket that is not closed, say: editors name buffers as they like.
        return None
    if parts.scheme != "file":
        return None
    return Path(unquote(url2pathname(parts.path)))
