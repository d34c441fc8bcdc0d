"""What a project and a disk do to the index: none of it is a fault or a stale answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fimble_model
from fimble_server.context.index_store import IndexReader
from fimble_server.context.indexing import open_index, places_for
from fimble_server.context.project_files import read_text, walk_project
from fimble_server.context.token_store import read_folders

MODEL = Path(fimble_model.__file__).parent / "weights" / "fimble-nano"
_INDEXER = [sys.executable, "-P", "-m", "fimble_server.context.indexer"]


def _said(cache: Path, root: Path, words: str) -> set[str]:
    reader = IndexReader(places_for(cache, root).chunks)
    found = {chunk.path for chunk in reader.find_chunks(words, most=9)}
    reader.close()
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.py").write_text("quartz_lantern = 1\n", encoding="utf-8")
    return root


def test_links_in_a_circle_and_pipes_are_not_followed(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to(root, target_is_directory=True)
    (root / "self.py").symlink_to(root / "self.py")
    os.mkfifo(root / "pipe.py")
    assert [file.path for file in walk_project(root)] == ["a.py"]


def test_bytes_that_are_no_text_neither_in_a_file_nor_in_its_name_do_harm(
    root: Path, tmp_path: Path
) -> None:
    (root / "early.py").write_bytes(b"quartz_lantern = '\xff\xfe'\n")
    (root / "late.py").write_bytes(b"quartz_lantern = 1\n" * 600 + b"x = '\xff\xfe'\n")
    (Path(os.fsdecode(bytes(root) + b"/name\xff.py"))).write_text("quartz_lantern = 2\n", "utf-8")
    index = open_index(root, tmp_path / "cache", MODEL)
    list(index.update_all())
    list(index.update([Path(os.fsdecode(bytes(root) + b"/name\xff.py"))]))
    assert _said(tmp_path / "cache", root, "quartz_lantern") == {"a.py", "late.py"}


def test_a_file_that_goes_while_it_is_read_is_gone(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        (root / f"b{number}.py").write_text("quartz_lantern = 1\n", encoding="utf-8")
    index = open_index(root, tmp_path / "cache", MODEL)
    steps = index.update_all()
    next(steps)
    (root / "b2.py").unlink()
    assert read_text(root / "b2.py") is None
    list(steps)
    list(index.update_all())
    assert _said(tmp_path / "cache", root, "quartz_lantern") == {"a.py", "b0.py", "b1.py"}
    assert index.tokens is not None
    assert set(index.tokens.stamps) == {"a.py", "b0.py", "b1.py"}


def _ask(root: Path, cache: Path) -> str:
    return json.dumps({"root": str(root), "cache": str(cache), "model": str(MODEL)}) + "\n"


@pytest.mark.skipif(os.name != "posix", reason="the limit is the shell's")
def test_a_full_disk_ends_the_process_and_what_is_there_is_whole(
    root: Path, tmp_path: Path
) -> None:
    """A limit on files' sizes stands for the full disk: writing fails in the middle likewise."""
    for number in range(40):
        text = "".join(f"quartz_lantern_{number}_{line} = {line}\n" for line in range(200))
        (root / f"b{number}.py").write_text(text, encoding="utf-8")
    cache = tmp_path / "cache"
    full = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *_INDEXER],
        input=_ask(root, cache),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert full.returncode not in (0, None)
    assert '"ready"' not in full.stdout
    reader = IndexReader(places_for(cache, root).chunks)
    assert isinstance(reader.find_chunks("quartz_lantern_3_3", most=3), list)
    reader.close()
    with_room = subprocess.run(
        _INDEXER, input=_ask(root, cache), capture_output=True, text=True, timeout=120, check=True
    )
    assert '"ready"' in with_room.stdout
    assert "b3.py" in _said(cache, root, "quartz_lantern_3_3")
    assert read_folders(places_for(cache, root).folder, MODEL)


@contextmanager
def _indexer(root: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        _INDEXER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(_ask(root, cache))
        process.stdin.flush()
        try:
            yield process
        finally:
            process.stdin.close()
            process.kill()


def _hear(process: subprocess.Popen[str], name: str) -> Any:
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if said.get(name):
            return said[name]
    raise AssertionError(f"it never said {name}")


def test_of_two_servers_on_one_project_the_second_shares_and_then_takes_over(
    root: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with _indexer(root, cache) as first:
        assert _hear(first, "ready")
        with _indexer(root, cache) as second:
            folders = _hear(second, "folders")
            assert folders
            assert all(Path(folder).is_dir() for folder in folders)
            assert first.stdin is not None
            first.stdin.close()
            assert first.wait(timeout=60) == 0
            assert _hear(second, "ready")
