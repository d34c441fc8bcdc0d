"""A terminal's completion knows the project: indexed once, then read from the cache."""

from __future__ import annotations

from pathlib import Path

import fimble_model
from fimble_server.commandline.project import know_project
from fimble_server.context.index_store import IndexReader
from fimble_server.context.indexing import places_for, try_lock

MODEL = Path(fimble_model.__file__).parent / "weights" / "fimble-nano"


def test_the_project_is_indexed_and_an_index_in_use_is_read_as_it_is(tmp_path: Path) -> None:
    root, cache = tmp_path / "shop", tmp_path / "cache"
    (root / "src").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (root / "src" / "a.py").write_text("quartz_lantern = 1\n" * 40, encoding="utf-8")
    (root / "src" / "b.vault").write_text("quartz = 1\n", encoding="utf-8")
    path = root / "src" / "new.py"
    known = know_project(path, cache=cache, model_folder=MODEL, secret_names=("*.vault",))
    assert known is not None
    assert known.root == root
    assert known.place_of(path).path == "src/new.py"
    assert known.token_folders
    assert IndexReader(known.chunks).find_chunks("quartz_lantern", most=1)[0].path == "src/a.py"
    lock = try_lock(places_for(cache, root).lock)
    assert lock is not None
    assert know_project(path, cache=cache, model_folder=MODEL) == known
    lock.close()


def test_a_folder_without_a_mark_is_no_project(tmp_path: Path) -> None:
    assert know_project(tmp_path / "a.py", cache=tmp_path / "cache", model_folder=None) is None
    assert not (tmp_path / "cache").exists()
