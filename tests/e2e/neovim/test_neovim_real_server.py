"""The whole path: a real Neovim, the real server, the shipped model.

What the model says may change with its weights, so these tests hold it to laws that no weights
change: what is drawn is what is inserted, and the server is asked and answers.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

import fimble_model
from fimble_testing.neovim_child import NeovimChild
from fimble_testing.neovim_tests import StartNeovim, is_served

pytestmark = pytest.mark.skipif(
    not fimble_model.shipped_models(), reason="no model ships with this checkout"
)

COMMAND = [sys.executable, "-P", "-m", "fimble_server", "serve"]
EAGER = {"server": {"completion": {"eagerness": 1.0}}}
TEXTS = {
    "page.py": "def read(path):\n    with open(path) as file:\n        return file.read()\n\n\n"
    "def write(path, text):\n    with open(path, 'w') as file:\n        ",
    "page.ts": "function add(a: number, b: number) {\n  return a + b;\n}\n\n"
    "function subtract(a: number, b: number) {\n  ",
    "page.go": "package main\n\nfunc add(a int, b int) int {\n\treturn a + b\n}\n\n"
    "func subtract(a int, b int) int {\n\t",
}


def start_real(start: StartNeovim, name: str) -> NeovimChild:
    """A Neovim in insert mode at the file's end, with the model loaded."""
    child = start(name=name, text=TEXTS[name], setup=EAGER, command=COMMAND, n_columns=120)
    child.wait(
        lambda: (
            child.lua('return require("fimble").statusline()') == "fimble"
            and "fimble-" in str(child.lua(_MESSAGE))
        ),
        what="the model loaded",
        timeout_s=60,
    )
    child.type("GA")
    return child


_MESSAGE = """
local client = vim.lsp.get_clients({ name = "fimble" })[1]
return require("fimble.status").note(client.id).message
"""


def trigger(child: NeovimChild) -> None:
    """Ask for a suggestion and wait until it is drawn."""
    child.type("<M-Bslash>")
    child.wait(child.ghost, what="ghost text", timeout_s=20)


def shown_rows(child: NeovimChild) -> list[str]:
    """The buffer's part of the screen: what is there and what is suggested, without the count."""
    rows = child.look().lines(without="FimbleCount")[:-3]
    return [row for row in rows if row != "~"]


def test_what_is_drawn_is_what_is_inserted(start: StartNeovim, tmp_path: Path) -> None:
    child = start_real(start, "page.py")
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
        child.type("<Esc>")
        child.command(f"edit! {tmp_path / name}")
        child.wait(lambda: is_served(child), what=f"a server in {name}")
        child.lua("vim.wo.wrap, vim.bo.tabstop = false, 4")
        child.type("GA")
        hold_drawn_to_inserted(child)


def hold_drawn_to_inserted(child: NeovimChild) -> None:
    before = child.lines()
    trigger(child)
    drawn = shown_rows(child)
    child.type("<Tab>")
    child.wait(lambda: child.lines() != before, what="the suggestion in the text")
    after = [line.expandtabs(4).rstrip() for line in child.lines()]
    assert after[: len(drawn)] == drawn
    assert child.mode == "i"
    child.type("<Esc>u")
    child.wait_lines(*before)


def test_the_whole_path_from_typing_to_a_killed_server(start: StartNeovim) -> None:
    child = start_real(start, "page.py")
    child.type("file")
    child.wait(child.ghost, what="ghost text while typing", timeout_s=20)
    child.type("<C-]>")
    child.wait_ghost()
    trigger(child)
    rest, before = str(child.lua('return require("fimble.offer").view().rest')), child.lines()
    child.type("<M-Right>")
    child.wait(lambda: child.lines() != before, what="a word")
    word = "\n".join(child.lines())[len("\n".join(before)) :]
    assert rest.startswith(word)
    child.type("<C-]>")
    trigger(child)
    if str(child.lua('return require("fimble.offer").count()')) != "1":
        shown = child.ghost()
        child.type("<M-]>")
        child.wait(lambda: child.ghost() not in (shown, []), what="another candidate")
    before = child.lines()
    child.type("<C-x><C-o>")
    child.wait(lambda: child.lines() != before, what="the menu's entry", timeout_s=20)
    child.type("<Esc>")
    child.command("Fimble explain")
    child.wait(lambda: "by the rule" in "\n".join(child.look().lines()), what="an explanation")
    status = child.lua(
        'local client = vim.lsp.get_clients({ name = "fimble" })[1]\n'
        'local answers = vim.lsp.buf_request_sync(0, "fimble/status", vim.empty_dict(), 5000)\n'
        "return answers[client.id].result"
    )
    assert isinstance(status, dict)
    os.kill(int(status["process_id"]), signal.SIGKILL)
    child.wait(lambda: child.lua("return #vim.lsp.get_clients({ name = 'fimble' }) == 0"))
    child.wait(
        lambda: "fimble-" in str(child.lua(f"return select(2, pcall(function() {_MESSAGE} end))")),
        what="the server back, with its model",
        timeout_s=60,
    )
    child.type("Go")
    child.type("import ")
    trigger(child)
