"""Suggestions as entries of a completion menu, and Neovim's own inline completion without us."""

from __future__ import annotations

import pytest

from fimble_testing.neovim_child import NeovimChild, ScriptedLog
from fimble_testing.neovim_tests import ADD_LINES as ADD
from fimble_testing.neovim_tests import StartNeovim


def is_menu_open(child: NeovimChild) -> bool:
    return child.lua("return vim.fn.pumvisible()") == 1


def test_omni_completion_inserts_every_line_of_it(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.type("idef a<C-x><C-o>")
    child.wait(lambda: child.lines() != ["def a"], what="the only entry")
    child.type("<C-g>u")  # any other key ends the menu
    child.wait_lines(*ADD)
    accepted = child.wait(lambda: log.entries("workspace/executeCommand"))
    assert accepted[0]["params"] == {"command": "fimble.accepted", "arguments": ["menu"]}


def test_a_menu_entry_replaces_what_it_accounts_for_on_the_right(start: StartNeovim) -> None:
    child = start(script={"texts": ["add(1, 2)"], "menu_to_line_end": True})
    child.type("iadd()<Left><C-x><C-o>")
    child.wait(lambda: child.lines() != ["add()"], what="the only entry")
    child.type("<C-g>u")
    child.wait_lines("add(1, 2)")


def test_neovims_own_menu_opens_while_typing_and_tells_what_was_taken(
    start: StartNeovim, log: ScriptedLog, neovim_name: str
) -> None:
    if neovim_name == "oldest":
        pytest.skip("vim.lsp.completion opens by itself since Neovim 0.11")
    child = start(setup={"menu": True}, script={"texts": ["self.total = 0"]})
    child.type("iself.")
    child.wait(lambda: is_menu_open(child), what="a menu")
    child.type("<C-n><C-y>")
    child.wait_lines("self.total = 0")
    accepted = child.wait(lambda: log.entries("workspace/executeCommand"))
    assert accepted[0]["params"] == {"command": "fimble.accepted", "arguments": ["menu"]}


def test_neovims_own_inline_completion_needs_the_server_alone(
    start: StartNeovim, log: ScriptedLog, neovim_name: str
) -> None:
    if neovim_name == "oldest":
        pytest.skip("vim.lsp.inline_completion came with Neovim 0.12")
    child = start(init="init_builtin.lua")
    child.wait(
        lambda: child.lua(
            "return pcall(vim.api.nvim_get_autocmds,"
            " { group = 'nvim.lsp.inline_completion:' .. vim.api.nvim_get_current_buf() })"
        ),
        what="Neovim's own completor",
    )
    child.type("idef a")
    child.wait(
        lambda: child.look().text_of("ComplHint") == dict(enumerate(("dd(a, b):", *ADD[1:])))
    )
    child.type("<Tab>")
    child.wait_lines(*ADD)
    child.wait(lambda: log.entries("workspace/executeCommand"))
    child.type("<CR><Tab>x")  # nothing is shown: a plain tab
    child.wait(lambda: child.lines()[-1].endswith("   x"))


def test_with_the_plugin_neovims_own_ghost_is_not_drawn_too(
    start: StartNeovim, neovim_name: str
) -> None:
    if neovim_name == "oldest":
        pytest.skip("vim.lsp.inline_completion came with Neovim 0.12")
    child = start()
    child.lua("vim.lsp.inline_completion.enable()")
    child.command("edit another.py")
    child.wait(lambda: child.lua("return #vim.lsp.get_clients({ bufnr = 0 }) == 1"))
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.lua("vim.wait(300)")  # its debounce
    assert child.look().text_of("ComplHint") == {}
