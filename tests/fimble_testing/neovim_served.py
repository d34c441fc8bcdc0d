"""A Neovim with the plugin, the real server and its model loaded, to measure and to picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fimble_testing.neovim_child import NeovimChild, find_neovim

__all__ = ["model_words", "start_served"]

_PROJECT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-P", "-m", "fimble_server", "serve"]
_STATE = """
local client = vim.lsp.get_clients({ name = "fimble" })[1]
local note = client and require("fimble.status").note(client.id)
return note and not note.busy and note.message or ""
"""


def model_words(child: NeovimChild) -> str:
    """What the server says of its model once that is loaded; empty before."""
    return str(child.lua(_STATE))


def start_served(
    folder: Path, source: Path, *, eagerness: float, n_columns: int = 100, n_rows: int = 40
) -> NeovimChild:
    """A Neovim on a copy of `source`, ready to be typed into. Ends the program without one."""
    program = find_neovim("newest")
    if program is None:
        sys.exit("No Neovim: run tests/e2e/neovim/install.sh first.")
    page = folder / source.name
    page.write_bytes(source.read_bytes())
    server = {"completion": {"eagerness": eagerness}}
    child = NeovimChild(
        program,
        folder=folder,
        file=page,
        init=_PROJECT / "tests" / "e2e" / "neovim" / "init_plugin.lua",
        environment={
            "FIMBLE_PLUGIN": str(_PROJECT / "editors" / "neovim"),
            "FIMBLE_CMD": json.dumps(_COMMAND),
            "FIMBLE_SETUP": json.dumps({"server": server, "keys": False}),
        },
        n_columns=n_columns,
        n_rows=n_rows,
    )
    child.wait(lambda: "(" in model_words(child), what="the model loaded", timeout_s=60)
    return child
