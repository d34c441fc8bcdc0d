"""A key does Fimble's work only while there is something to do it to; else what it did before."""

from __future__ import annotations

import pytest

from fimble_testing.neovim_child import ScriptedLog
from fimble_testing.neovim_tests import ADD_LINES as ADD
from fimble_testing.neovim_tests import StartNeovim

ASK = "textDocument/inlineCompletion"


def test_tab_is_a_tab_where_nothing_is_shown(start: StartNeovim) -> None:
    child = start()
    child.type("ix<Tab>y<C-]><M-Right>")
    child.wait_lines("x   y")  # expandtab, from Python's own settings


@pytest.mark.parametrize(
    "user_map",
    [
        "inoremap <Tab> was_tab",
        "inoremap <expr> <Tab> 'was_' .. 'tab'",
        "inoremap <Tab> <Cmd>call nvim_put(['was_tab'], 'c', v:false, v:true)<CR>",
        "imap <Tab> <Plug>(other)\ninoremap <Plug>(other) was_tab",
        "lua vim.keymap.set('i', '<Tab>', function() return 'was_tab' end, { expr = true })",
        "lua vim.keymap.set('i', '<Tab>', function()"
        " vim.api.nvim_put({'was_tab'}, 'c', false, true) end)",
    ],
)
def test_tab_does_what_the_user_mapped_it_to_where_nothing_is_shown(
    start: StartNeovim, user_map: str, neovim_name: str
) -> None:
    child = start(maps=user_map)
    child.type("i<Tab>")
    child.wait_lines("was_tab")
    child.type("<C-u>def a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait_lines(*ADD)


JUMP_MAP = (
    "inoremap <expr> <Tab> luaeval('vim.snippet.active({ direction = 1 })')"
    " ? '<Cmd>lua vim.snippet.jump(1)<CR>' : '<Tab>'"
)


def test_a_waiting_snippet_keeps_tab(start: StartNeovim, neovim_name: str) -> None:
    # Neovim 0.11 and newer map <Tab> to the jump by themselves.
    child = start(maps=JUMP_MAP if neovim_name == "oldest" else "")
    child.type("i<Cmd>lua vim.snippet.expand('${1:name}\\n# ${2:end}')<CR>")
    child.wait_lines("name", "# end")
    child.type("def a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait(lambda: child.mode == "s", what="the second placeholder selected")
    child.type("here")
    child.wait_lines("def a", "# here")


def test_a_chosen_menu_entry_puts_the_ghost_away_and_keeps_tab(start: StartNeovim) -> None:
    child = start(text="\ndefault\ndefinite\n")
    child.type("idef")
    child.wait_ghost(" add(a, b):", *ADD[1:])
    child.type("<C-x><C-n>")
    child.wait(lambda: child.lines()[0] == "default")
    child.wait_ghost()
    child.type("<Tab>")
    child.wait(lambda: child.lines()[0] == "default ")
    assert child.lines()[1:] == ["default", "definite"]


def test_a_users_own_map_of_an_action_replaces_the_default_key(start: StartNeovim) -> None:
    child = start(maps="imap <C-y> <Plug>(fimble-accept)")
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<C-y>")
    child.wait_lines(*ADD)
    assert child.lua("return vim.fn.maparg('<Tab>', 'i', false, true).buffer ~= 1")


def test_without_keys_nothing_is_mapped(start: StartNeovim) -> None:
    child = start(setup={"keys": False})
    maps = child.lua("return #vim.api.nvim_buf_get_keymap(0, 'i')")
    assert maps == 0


def test_a_toggled_buffer_or_filetype_is_left_alone(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.command("Fimble toggle")
    child.type("idef a<Esc>")
    child.wait_lines("def a")
    child.command("Fimble toggle")
    child.type("ccdef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<Esc>")
    n_asked = len(log.entries(ASK))
    child.command("Fimble toggle filetype")
    child.type("ccdef ad<Esc>")
    child.wait_lines("def ad")
    assert len(log.entries(ASK)) == n_asked
    child.lua("vim.b.fimble_enabled = true")
    child.type("ccdef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])


def test_a_pause_asks_nothing_and_tells_the_server(start: StartNeovim, log: ScriptedLog) -> None:
    child = start(setup={"server": {"completion": {"eagerness": 0.9}}})
    options = log.entries("initialize")[0]["params"]["initializationOptions"]  # type: ignore[index]  # JSON
    quiet = {"log_level": "warning"}
    wanted = {"completion": {"eagerness": 0.9, "enabled": True}, "server": quiet}
    assert options == {"fimble": wanted}
    child.command("Fimble pause")
    child.type("idef a<M-Bslash><Esc>")
    child.wait_lines("def a")
    child.command("Fimble resume")
    child.type("ccdef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    told = [entry["params"] for entry in log.entries("workspace/executeCommand")]
    shared = [{"scope": "session", "shared": True}]
    assert told == [
        {"command": "fimble.snooze", "arguments": shared},
        {"command": "fimble.wake", "arguments": shared},
    ]
    assert all(entry["line"] == "def a" for entry in log.entries(ASK)[-1:])


def test_what_another_window_paused_is_paused_here(start: StartNeovim, log: ScriptedLog) -> None:
    """The server says so: at the start, and when it changes."""
    child = start(script={"silences": [{"scope": "session", "name": "", "seconds_left": 600}]})

    def words() -> object:
        return child.lua('return require("fimble").statusline()')

    child.wait(lambda: words() == "fimble: paused", what="paused by the server's word")
    child.type("idef a<M-Bslash><Esc>")
    child.wait_lines("def a")
    assert log.entries(ASK) == []
    child.lua(_AS_ANOTHER_WINDOW.format(command="fimble.wake"))
    child.wait(lambda: words() == "fimble", what="woken by the server's word")
    child.type("ccdef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.lua(_AS_ANOTHER_WINDOW.format(command="fimble.snooze"))
    child.wait_ghost()
    assert words() == "fimble: paused"


def test_a_server_that_starts_hears_of_the_pause(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.command("Fimble pause")
    child.wait(lambda: len(log.entries("workspace/executeCommand")) == 1)
    child.command("Fimble restart")
    child.wait(lambda: len(log.entries("workspace/executeCommand")) == 2)
    assert child.lua('return require("fimble.switch").is_paused()')


_AS_ANOTHER_WINDOW = """
local client = vim.lsp.get_clients({{ name = "fimble" }})[1]
local argument = {{ scope = "session", shared = true }}
local params = {{ command = "{command}", arguments = {{ argument }} }}
require("fimble.server").request(client, "workspace/executeCommand", params, function() end)
"""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{ keyes = {} }", "expected one of automatic, cmd"),
        ("{ debounce_ms = 'soon' }", 'expected a number for `debounce_ms`; found "soon"'),
        ("{ keys = { acept = '<Tab>' } }", "`keys.acept`"),
    ],
)
def test_an_unknown_or_unfit_setting_is_refused_by_its_path(
    start: StartNeovim, given: str, words: str
) -> None:
    child = start()
    found = child.lua(f"return select(2, pcall(require('fimble').setup, {given}))")
    assert words in str(found)
