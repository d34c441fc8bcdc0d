"""Other tools' complaints reach the server: where they stand and what they say."""

from __future__ import annotations

from typing import Any

from fimble_testing.neovim_child import ScriptedLog
from fimble_testing.neovim_tests import StartNeovim

_SET = """
local space = vim.api.nvim_create_namespace("a checker")
vim.diagnostic.set(space, 0, ...)
"""


def _heard(log: ScriptedLog) -> list[Any]:
    return [entry["params"] for entry in log.entries("fimble/diagnostics")]


def test_they_are_handed_on_and_taken_back(start: StartNeovim, log: ScriptedLog) -> None:
    child = start(text="total = prize * 2\n")
    child.lua(_SET, [{"lnum": 0, "col": 8, "end_col": 13, "message": "no such name: prize"}])
    (first,) = child.wait(lambda: _heard(log))
    assert first["uri"].endswith("/page.py")
    (complaint,) = first["diagnostics"]
    assert complaint["message"] == "no such name: prize"
    assert complaint["range"] == {
        "start": {"line": 0, "character": 8},
        "end": {"line": 0, "character": 13},
    }
    child.lua(_SET, [])
    child.wait(lambda: len(_heard(log)) == 2)
    assert _heard(log)[1]["diagnostics"] == []
