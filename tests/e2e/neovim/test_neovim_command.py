"""`:Fimble`, `:checkhealth fimble` and `:help fimble`: each says what it should."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fimble_testing.neovim_child import NeovimChild, ScriptedLog
from fimble_testing.neovim_tests import StartNeovim

FINDINGS = {
    "ok": False,
    "findings": [
        {"name": "python", "ok": True, "found": "3.11", "to_do": ""},
        {"name": "completion", "ok": True, "found": "in 2 s", "to_do": "Choose a smaller model."},
        {"name": "model", "ok": False, "found": "no config.json", "to_do": "Name another folder."},
    ],
}


def floating_text(child: NeovimChild) -> str:
    """What stands in a floating window, if there is one."""
    return str(
        child.lua(
            "for _, win in ipairs(vim.api.nvim_list_wins()) do\n"
            '  if vim.api.nvim_win_get_config(win).relative ~= "" then\n'
            "    local buf = vim.api.nvim_win_get_buf(win)\n"
            '    return table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), "\\n")\n'
            "  end\n"
            "end\n"
            'return ""'
        )
    )


def test_status_shows_what_the_server_says_of_itself(start: StartNeovim) -> None:
    child = start()
    child.command("Fimble status")
    child.wait(lambda: "state: Normal" in floating_text(child))


def test_explain_shows_the_rule_the_tokens_and_what_was_hidden(start: StartNeovim) -> None:
    child = start()
    child.command("Fimble explain")
    text = child.wait(lambda: floating_text(child))
    assert "acceleration, by the rule `mid-line`" in text
    assert "9 in the prompt, 8 of them reused, 7 generated" in text
    assert "`x⏎y`" in text
    assert "hidden, not confident: `z`" in text


def test_model_asks_the_server_for_another_one(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.command("Fimble model /models/tuned")
    changed = child.wait(lambda: log.entries("workspace/didChangeConfiguration"))[-1]
    wanted = {
        "model": {"name": "/models/tuned"},
        "completion": {"enabled": True},
        "server": {"log_level": "warning"},
    }
    assert changed["params"] == {"settings": {"fimble": wanted}}


def test_words_are_completed_and_an_unknown_one_is_refused(start: StartNeovim) -> None:
    child = start()
    assert child.lua('return vim.fn.getcompletion("Fimble re", "cmdline")') == ["restart", "resume"]
    offered = child.lua('return vim.fn.getcompletion("Fimble toggle ", "cmdline")')
    assert offered == ["buffer", "filetype"]
    child.command("Fimble reset")
    notes = child.lua("return vim.g.notes")
    assert isinstance(notes, list)
    assert "expected one of explain, model, pause" in notes[-1]


def test_checkhealth_says_what_fimble_check_finds(start: StartNeovim, tmp_path: Path) -> None:
    program = tmp_path / "fimble"
    program.write_text(
        f"#!{sys.executable} -P\n"
        "import sys, runpy\n"
        "if sys.argv[1:] == ['check', '--json']:\n"
        f"    print({json.dumps(FINDINGS)!r})\n"
        "    sys.exit(1)\n"
        f"runpy.run_path({str(scripted_server_path())!r}, run_name='__main__')\n"
    )
    program.chmod(0o755)
    child = start(command=[str(program), "serve"])
    child.wait(lambda: child.lua('return require("fimble").statusline()') == "fimble")
    child.command("checkhealth fimble")
    text = "\n".join(child.lines())
    assert "OK python: 3.11" in text
    assert "WARNING completion: in 2 s" in text
    assert "ERROR model: no config.json" in text
    assert "Name another folder." in text
    assert "OK client 1: scripted" in text


def test_a_missing_program_is_told_once_and_in_checkhealth(start: StartNeovim) -> None:
    child = start()
    child.lua('require("fimble").setup({ cmd = { "no-such-program", "serve" } })')
    child.command("checkhealth fimble")
    assert "expected the program `no-such-program`; found none." in "\n".join(child.lines())


def test_the_help_has_every_word_of_the_command_and_every_setting(start: StartNeovim) -> None:
    child = start()
    child.lua('vim.cmd.helptags(vim.env.FIMBLE_PLUGIN .. "/doc")')
    child.command("help fimble")
    text = "\n".join(child.lines())
    settings = child.lua('return vim.tbl_keys(require("fimble.settings").current)')
    words = child.lua('return vim.fn.getcompletion("Fimble ", "cmdline")')
    assert isinstance(settings, list)
    assert isinstance(words, list)
    assert [name for name in settings if f"`{name}`" not in text] == []
    assert [word for word in words if f":Fimble {word}" not in text] == []


def scripted_server_path() -> Path:
    return Path(__file__).resolve().parents[2] / "fimble_testing" / "scripted_server.py"
