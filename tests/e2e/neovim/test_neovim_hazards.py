"""What goes wrong in other ghost texts does not in ours: late answers, emoji, death."""

from __future__ import annotations

import os
import signal

import pytest

from fimble_testing.neovim_child import ScriptedLog
from fimble_testing.neovim_tests import ADD_LINES as ADD
from fimble_testing.neovim_tests import StartNeovim, is_served

ASK = "textDocument/inlineCompletion"


def test_taking_it_early_while_typing_along_doubles_nothing(start: StartNeovim) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("dd(<Tab>")
    child.wait_lines(*ADD)


def test_a_late_older_answer_is_cancelled_and_never_shown(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start(script={"texts": ["old_name", "new_name"], "delays_s": [0.4, 0]})
    child.type("iold")
    child.wait(lambda: log.entries(ASK), what="the first question")
    child.type("<C-u>new")
    child.wait_ghost("_name")
    older = log.entries(ASK)[0]["id"]
    assert older in [cancelled_id(entry) for entry in log.entries("$/cancelRequest")]
    child.wait(lambda: older in [entry["id"] for entry in log.entries("answer")])
    assert child.ghost() == ["_name"]
    child.type("<Tab>")
    child.wait_lines("new_name")


def test_an_answer_for_a_cursor_that_moved_on_is_not_shown(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start(script={"delays_s": [0.2]})
    child.type("idef a")
    child.wait(lambda: log.entries(ASK), what="the question")
    child.type("<Esc>")
    child.wait(lambda: log.entries("$/cancelRequest"), what="the question taken back")
    child.wait(lambda: log.entries("answer")[-1]["id"] == log.entries(ASK)[0]["id"])
    assert child.ghost() == []


@pytest.mark.parametrize("answer", ["null", "empty", "error"])
def test_no_answer_shows_nothing_and_tab_stays_tab(
    start: StartNeovim, log: ScriptedLog, answer: str
) -> None:
    child = start(script={"answers": ["texts", answer]})
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<C-u>")
    child.wait_ghost()
    child.type("def")
    child.wait(lambda: len(log.entries(ASK)) > 1, what="the second question")
    child.type("<Tab>x")
    child.wait_lines("def x")  # the tab of Python's indentation, to the fourth column
    assert child.ghost() == []


@pytest.mark.parametrize("from_cursor", [True, False])
def test_what_stands_right_of_the_cursor_is_neither_hidden_nor_doubled(
    start: StartNeovim, from_cursor: bool
) -> None:
    child = start(script={"from_cursor": from_cursor})
    child.type("idef add()<Left>")
    child.type("a")
    child.wait_ghost(", b:", *ADD[1:])  # the bracket between them is the buffer's own
    assert child.look().lines()[:3] == list(ADD)
    child.type("<M-Right>")
    child.wait_lines("def add(a,)")
    child.type("<Tab>")
    child.wait_lines(*ADD)


def test_brackets_that_close_by_themselves_are_reckoned_with(start: StartNeovim) -> None:
    child = start()
    child.lua('vim.keymap.set("i", "(", "()<C-g>U<Left>")')
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("dd(")
    child.wait_lines("def add()")
    child.wait_ghost("a, b:", *ADD[1:])
    child.type("<M-C-Right>")
    child.wait_lines("def add(a, b):")
    child.type("<Tab>")
    child.wait_lines(*ADD)


def test_what_is_right_of_the_cursor_and_not_in_the_text_is_drawn_over(start: StartNeovim) -> None:
    child = start(script={"texts": ["return total"]})
    child.type("ireturn oops<Left><Left><Left><Left>")
    child.type("t")
    child.wait_ghost("otal")
    assert child.look().lines()[0] == "return total"
    child.type("<Tab>")
    child.wait_lines("return total")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_emoji_stand_where_they_should_in_every_encoding(
    start: StartNeovim, log: ScriptedLog, encoding: str
) -> None:
    child = start(script={"texts": ['naïve = "😀 ünï🎉"\nprint(naïve)'], "encoding": encoding})
    child.type('inaïve = "😀 ü')
    child.wait_ghost('nï🎉"', "print(naïve)")
    child.type("<M-Right>")
    child.wait_lines('naïve = "😀 ünï🎉')
    child.type("<Tab>")
    child.wait_lines('naïve = "😀 ünï🎉"', "print(naïve)")
    partly = child.wait(lambda: log.entries("textDocument/didPartiallyAcceptCompletion"))[0][
        "params"
    ]
    assert isinstance(partly, dict)
    assert partly["acceptedLength"] == len('naïve = "😀 ünï🎉') + 2  # an emoji is two units


def test_tabs_are_drawn_as_wide_as_they_will_be(start: StartNeovim) -> None:
    child = start(name="page.go", script={"texts": ["if ok {\n\treturn\t1\n}"]})
    child.lua("vim.bo.tabstop = 4")
    child.type("iif")
    child.wait_ghost(" ok {", "    return  1", "}")
    child.type("<Tab>")
    child.wait_lines("if ok {", "\treturn\t1", "}")
    assert child.look().lines()[:3] == ["if ok {", "    return  1", "}"]


def test_files_with_crlf_stay_so(start: StartNeovim, log: ScriptedLog) -> None:
    text = "if ok:\r\n    return 1"
    child = start(text="x = 1\r\ny = 2\r\n", script={"texts": [text]})
    assert child.lua("return vim.bo.fileformat") == "dos"
    child.type("Goif")
    child.wait_ghost(" ok:", "    return 1")
    child.type("<M-C-Right>")
    child.wait_lines("x = 1", "y = 2", "if ok:")
    child.type("<M-Right>")
    child.wait_lines("x = 1", "y = 2", "if ok:", "    return")
    child.type("<Tab>")
    child.wait_lines("x = 1", "y = 2", "if ok:", "    return 1")
    child.type("<Esc>")
    child.command("write")
    path = child.lua("return vim.api.nvim_buf_get_name(0)")
    with open(str(path), "rb") as file:
        assert file.read() == b"x = 1\r\ny = 2\r\nif ok:\r\n    return 1\r\n"
    child.wait(lambda: log.entries("workspace/executeCommand"), what="accepted")
    lengths = [
        entry["params"]["acceptedLength"]  # type: ignore[index]  # JSON
        for entry in log.entries("textDocument/didPartiallyAcceptCompletion")
    ]
    assert lengths == [len("if ok:"), len("if ok:\r\n    return")]


def test_two_windows_on_one_buffer_take_it_once(start: StartNeovim) -> None:
    child = start(text="\n\n\n")
    child.command("split")
    child.type("idef a")
    child.wait_ghost(*("dd(a, b):", *ADD[1:]) * 2)  # the text is the same in both windows
    child.type("<C-o><C-w>w")
    child.wait_ghost()
    child.type("<C-o><C-w>w")
    child.type("d")
    child.wait_ghost(*("d(a, b):", *ADD[1:]) * 2)
    child.type("<Tab>")
    child.wait_lines(*ADD, "", "")


def test_an_edit_elsewhere_in_the_buffer_moves_it_along(start: StartNeovim) -> None:
    child = start(text="first\n")
    child.type("odef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.lua('vim.api.nvim_buf_set_lines(0, 0, 0, true, { "zeroth" })')
    child.type("d")
    child.wait_ghost("d(a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait_lines("zeroth", "first", *ADD)


def test_a_killed_server_comes_back(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    first = process_id(log)
    os.kill(first, signal.SIGKILL)
    child.wait_ghost()
    child.wait(lambda: process_id(log) != first, what="another process")
    child.wait_ghost("dd(a, b):", *ADD[1:])  # asked anew: the cursor still stands there
    child.type("<Tab>")
    child.wait_lines(*ADD)


def test_a_server_that_dies_again_while_it_starts_is_tried_again(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start(script={"dies_at_starts": [1]})
    os.kill(process_id(log), signal.SIGKILL)
    child.wait(lambda: len(log.entries("initialize")) == 3, what="the third start")
    child.wait(lambda: is_served(child), what="the server back")
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])


def test_a_server_killed_over_a_question_harms_nothing(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start(script={"delays_s": [5]})
    child.type("idef a")
    child.wait(lambda: log.entries(ASK), what="the question")
    os.kill(process_id(log), signal.SIGKILL)
    child.type("dd(<Tab>x")
    child.wait(lambda: child.lines()[0].startswith("def add(") and child.lines()[0].endswith("x"))
    child.wait(lambda: len(log.entries("initialize")) == 2, what="another process")


def test_a_server_that_ends_in_order_stays_ended(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.lua("vim.lsp.stop_client(vim.lsp.get_clients())")
    child.wait(lambda: child.lua("return #vim.lsp.get_clients() == 0"))
    child.lua("vim.wait(700)")
    assert len(log.entries("initialize")) == 1
    child.type("idef a<Tab>")
    child.wait_lines("def a   ")


def test_restarting_brings_the_server_back_with_its_buffers(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start()
    child.command("Fimble restart")
    child.wait(lambda: len(log.entries("initialize")) == 2, what="another process")
    child.wait(lambda: process_id(log) in openers(log), what="the file opened in it")
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])


def test_every_project_is_served_by_one_process(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.lua(
        'for _, name in ipairs({ "a", "b" }) do\n'
        '  vim.fn.mkdir(vim.env.HOME .. "/" .. name .. "/.git", "p")\n'
        '  vim.cmd.edit(vim.env.HOME .. "/" .. name .. "/page.py")\n'
        "end"
    )
    child.wait(lambda: len(log.entries("textDocument/didOpen")) == 3, what="three open files")
    assert len(log.entries("initialize")) == 1
    child.wait(lambda: len(log.entries("textDocument/didFocus")) >= 3, what="three times in focus")


def cancelled_id(entry: dict[str, object]) -> object:
    match entry["params"]:
        case {"id": request_id}:
            return request_id
    raise AssertionError("a cancellation of nothing")


def openers(log: ScriptedLog) -> list[object]:
    return [entry["process_id"] for entry in log.entries("textDocument/didOpen")]


def process_id(log: ScriptedLog) -> int:
    return int(str(log.entries("initialize")[-1]["process_id"]))
