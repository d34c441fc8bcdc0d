"""The project's index: what may enter it, that it follows the disk, and that it survives damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fimble_model
from fimble_server.context.chunks import cut_chunks, words_of
from fimble_server.context.definitions import find_definitions
from fimble_server.context.index_store import IndexReader
from fimble_server.context.indexing import ProjectIndex, open_index, places_for
from fimble_server.context.project_files import find_root, walk_project
from fimble_server.context.token_store import key_of
from fimble_server.document.languages import language_for_id

MODEL = Path(fimble_model.__file__).parent / "weights" / "fimble-nano"


def _write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _walked(root: Path) -> list[str]:
    return [file.path for file in walk_project(root)]


def test_ignored_secret_binary_and_huge_files_are_never_read(tmp_path: Path) -> None:
    files = {
        "kept.py": b"x = 1\n",
        "ignored.py": b"x = 2\n",
        "private.py": b"x = 3\n",
        "deep/inner/kept.py": b"x = 4\n",
        "deep/inner/gone.py": b"x = 5\n",
        "deep/back.py": b"x = 6\n",
        "secrets.yaml": b"password: x\n",
        ".ssh/config.py": b"x = 7\n",
        "node_modules/a.js": b"x\n",
        "huge.py": b"x = 1\n" * 100_000,
        "picture.png": b"\x89PNG",
        ".gitignore": b"ignored.py\n",
        ".fimbleignore": b"private.py\n",
        "deep/.gitignore": b"inner/gone.py\n",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.py").symlink_to(tmp_path / "ignored.py")
    assert _walked(tmp_path) == ["kept.py", "deep/back.py", "deep/inner/kept.py"]
    index = open_index(tmp_path, tmp_path / ".cache", None)
    list(index.update([tmp_path / name for name in files]))
    assert sorted(index.chunks.stamps()) == sorted(_walked(tmp_path))


def test_no_rule_brings_a_secret_file_back_and_the_user_s_names_add_to_ours(
    tmp_path: Path,
) -> None:
    for name in ("kept.py", "secrets.yaml", "private/a.py", "vault.py", "keys/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("private/\n!secrets.yaml\n", encoding="utf-8")
    (tmp_path / ".fimbleignore").write_text("!private/\n!private/a.py\n", encoding="utf-8")
    more = ("vault.*", "keys/*")
    assert [file.path for file in walk_project(tmp_path, secret_names=more)] == ["kept.py"]
    index = open_index(tmp_path, tmp_path / ".cache", None, more)
    list(index.update([tmp_path / "vault.py", tmp_path / "keys" / "b.py", tmp_path / "kept.py"]))
    assert list(index.chunks.stamps()) == ["kept.py"]


def test_binary_and_minified_text_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "zeros.py").write_bytes(b"quartz = 1\n\0")
    (tmp_path / "small.js").write_text("quartz();" * 1_000, encoding="utf-8")
    index = open_index(tmp_path, tmp_path / ".cache", None)
    list(index.update_all())
    reader = IndexReader(places_for(tmp_path / ".cache", tmp_path).chunks)
    assert reader.find_chunks("quartz", most=5) == []


def test_chunks_are_the_text_and_small() -> None:
    text = "".join(f"def f{i}():\n    return {i}  # 😀\n\n" for i in range(50))
    chunks = list(cut_chunks(text))
    assert "".join(chunks).replace("\n", "") == text.replace("\n", "")
    assert all(chunk.count("\n") <= 17 for chunk in chunks)
    assert words_of("self.return_value = None") == {"return_value", "value"}


def test_definitions_are_names_with_headers() -> None:
    text = "class Cart(Base):\n    def add(self, item: Item) -> None:\n        def inner(): ...\n"
    found = find_definitions(language_for_id("python"), text)
    assert [(each.name, each.header) for each in found] == [
        ("Cart", "class Cart(Base):"),
        ("add", "def add(self, item: Item) -> None:"),
    ]


def _index(tmp_path: Path) -> ProjectIndex:
    return open_index(tmp_path / "project", tmp_path / "cache", MODEL)


def _said(tmp_path: Path, words: str) -> list[str]:
    reader = IndexReader(places_for(tmp_path / "cache", tmp_path / "project").chunks)
    return [chunk.path for chunk in reader.find_chunks(words, most=5)]


def test_the_index_follows_the_disk_and_reads_only_what_changed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    _write(root, a_DOT_py="quartz_lantern = 1\n", b__c_DOT_py="harbour_bell = 2\n")
    index = _index(tmp_path)
    steps = list(index.update_all())
    assert steps[-1].n_all == 2
    assert steps[-1].has_new_tokens
    assert _said(tmp_path, "quartz_lantern") == ["a.py"]
    _write(root, a_DOT_py="velvet_anchor = 1\n")
    os.utime(root / "a.py", ns=(1, 1))
    (root / "b" / "c.py").unlink()
    list(index.update([root / "a.py", root / "b" / "c.py"]))
    assert _said(tmp_path, "quartz_lantern harbour_bell") == []
    assert _said(tmp_path, "velvet_anchor") == ["a.py"]
    index.close()
    again = _index(tmp_path)
    assert [step.n_all for step in again.update_all()] == [0]
    assert again.tokens is not None
    assert list(again.tokens.stamps) == ["a.py"]


@pytest.mark.parametrize("damage", ["chunks.sqlite", "list.json", "tokens.npy"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "project"
    _write(root, a_DOT_py="quartz_lantern = 1\n" * 40)
    index = _index(tmp_path)
    list(index.update_all())
    index.close()
    (path,) = (tmp_path / "cache").rglob(damage)
    path.write_bytes(b"damaged" * 1_000)
    again = _index(tmp_path)
    list(again.update_all())
    assert set(_said(tmp_path, "quartz_lantern")) == {"a.py"}
    assert again.tokens is not None
    assert list(again.tokens.stamps) == ["a.py"]


def test_keys_are_those_of_an_editors_uris(tmp_path: Path) -> None:
    assert key_of(tmp_path, "a b/ü.py") == f"file://{tmp_path}/a b/ü.py"


def test_a_lone_file_belongs_to_the_folder_with_a_marker(tmp_path: Path) -> None:
    _write(tmp_path, shop__pyproject_DOT_toml="", shop__src__a_DOT_py="")
    assert find_root(tmp_path / "shop" / "src" / "a.py") == tmp_path / "shop"


def test_the_process_says_what_it_has_and_ends_with_its_stdin(tmp_path: Path) -> None:
    root = tmp_path / "project"
    _write(root, a_DOT_py="quartz_lantern = 1\n")
    asked = {"root": str(root), "cache": str(tmp_path / "cache"), "model": str(MODEL)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fimble_server.context.indexer"],
        input=json.dumps(asked) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"ready": True} in said
    named = [Path(folder) for line in said for folder in line.get("folders", ())]
    assert named
    assert all(folder.exists() for folder in named)
    assert _said(tmp_path, "quartz_lantern") == ["a.py"]


def test_the_process_loads_nothing_that_a_network_needs() -> None:
    """Torch alone would take more memory than all that is allowed here."""
    code = "import sys, fimble_server.context.indexer; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "fimble_server" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "safetensors", "pygls", "asyncio", "rich"})
