"""Real Neovims for the tests of this folder, with a scripted server or the real one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fimble_testing.neovim_child import NeovimChild, ScriptedLog, find_neovim
from fimble_testing.neovim_tests import ADD_TEXT, StartNeovim, is_served

_HERE = Path(__file__).resolve().parent
_PROJECT = _HERE.parents[2]
_SCRIPTED_SERVER = _PROJECT / "tests" / "fimble_testing" / "scripted_server.py"
_INSTALL = "tests/e2e/neovim/install.sh"


@pytest.fixture(params=["newest", "oldest"])
def neovim_name(request: pytest.FixtureRequest) -> str:
    """Which Neovim: 0.12 or newer, and 0.10."""
    return str(request.param)


@pytest.fixture
def log(tmp_path: Path) -> ScriptedLog:
    """What the scripted server heard."""
    return ScriptedLog(path=tmp_path / "heard.jsonl")


@pytest.fixture
def start(neovim_name: str, tmp_path: Path, log: ScriptedLog) -> Iterator[StartNeovim]:
    """Start Neovims; they end with the test."""
    program = find_neovim(neovim_name)
    if program is None:
        pytest.skip(f"no {neovim_name} Neovim; {_INSTALL} installs it")
    children: list[NeovimChild] = []

    def start_one(
        *,
        text: str = "",
        name: str = "page.py",
        setup: Mapping[str, object] | None = {},
        script: Mapping[str, object] | None = None,
        init: str = "init_plugin.lua",
        command: list[str] | None = None,
        maps: str = "",
        n_columns: int = 70,
    ) -> NeovimChild:
        file, script_path = tmp_path / name, tmp_path / "script.json"
        file.write_bytes(text.encode())
        script_path.write_text(json.dumps({"texts": [ADD_TEXT], **(script or {})}))
        child = NeovimChild(
            program,
            folder=tmp_path,
            file=file,
            init=_HERE / init,
            n_columns=n_columns,
            environment={
                "FIMBLE_PLUGIN": str(_PROJECT / "editors" / "neovim"),
                "FIMBLE_CMD": json.dumps(command or [sys.executable, "-P", str(_SCRIPTED_SERVER)]),
                "FIMBLE_SETUP": "none" if setup is None else json.dumps(setup),
                "FIMBLE_MAPS": maps,
                "FIMBLE_SNIPPET": builtin_snippet(),
                "SCRIPTED_SERVER_SCRIPT": str(script_path),
                "SCRIPTED_SERVER_LOG": str(log.path),
            },
        )
        children.append(child)
        child.wait(lambda: is_served(child), what="a server in the buffer", timeout_s=20)
        return child

    yield start_one
    for child in children:
        child.close()


def builtin_snippet() -> str:
    """The Lua in the docs that needs no plugin."""
    page = (_PROJECT / "docs" / "editors" / "neovim.md").read_text(encoding="utf-8")
    _, _, after_mark = page.partition("<!-- tests/e2e/neovim runs this block -->\n```lua\n")
    return after_mark.partition("\n```\n")[0]
