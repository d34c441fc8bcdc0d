"""The plugin's Lua: no lint, one layout, small files that say what they own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fimble_testing.neovim_child import NEOVIM_FOLDER, find_neovim

PROJECT = Path(__file__).resolve().parents[3]
PLUGIN = PROJECT / "editors" / "neovim"
FILES = sorted([*PLUGIN.rglob("*.lua"), *(PROJECT / "tests" / "e2e" / "neovim").glob("*.lua")])
MOST_LINES = 400


def test_luacheck_finds_nothing() -> None:
    neovim = find_neovim("newest")
    prefix = NEOVIM_FOLDER / "newest" / "usr"
    if neovim is None or not list(prefix.glob("share/lua/5.1/luacheck")):
        pytest.skip("no luacheck; tests/e2e/neovim/install.sh installs it")
    native = next(prefix.glob("lib/*/lua/5.1"))
    script = (
        f"package.path = '{prefix}/share/lua/5.1/?.lua;{prefix}/share/lua/5.1/?/init.lua;'"
        " .. package.path\n"
        f"package.cpath = '{native}/?.so;' .. package.cpath\n"
        "require('luacheck.main')\n"
    )
    finished = subprocess.run(
        [
            neovim,
            "--clean",
            "-l",
            "/dev/stdin",
            "--no-color",
            "--config",
            PLUGIN / ".luacheckrc",
            *FILES,
        ],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "0 warnings / 0 errors" in finished.stdout + finished.stderr


def test_stylua_would_change_nothing() -> None:
    node, package = shutil.which("node"), NEOVIM_FOLDER / "stylua" / "node_modules"
    if node is None or not package.exists():
        pytest.skip("no stylua; tests/e2e/neovim/install.sh installs it where there is npm")
    script = PROJECT / "tests" / "e2e" / "neovim" / "stylua.mjs"
    finished = subprocess.run(
        [node, script, package, "--check", *FILES],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_small_and_says_what_it_owns(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("--")
    assert len(lines) < MOST_LINES
    assert max(len(line) for line in lines) <= 100
