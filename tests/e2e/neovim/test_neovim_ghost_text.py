"""Ghost text by the plugin in a real Neovim: shown, followed, taken, put away."""

from __future__ import annotations

import pytest

from fimble_testing.neovim_child import ScriptedLog
from fimble_testing.neovim_tests import ADD_LINES as ADD
from fimble_testing.neovim_tests import StartNeovim, trigger_kind

THREE = {
    "texts": [
        "def add(a, b):\n    return a + b",
        "def add(a, b):\n    return b + a",
        "def ad(): ...",
    ],
    "n_items": 3,
}


def test_it_is_drawn_and_nothing_is_inserted(start: StartNeovim, log: ScriptedLog) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    assert child.look().lines()[:3] == list(ADD)
    assert child.look().cursor == (0, 5)
    assert child.lines() == ["def a"]
    shown = child.wait(lambda: log.entries("textDocument/didShowCompletion"))
    assert len(shown) == 1


def test_tab_takes_it_whole_and_one_undo_gives_it_back(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait_lines(*ADD)
    assert (child.cursor(), child.mode) == ((3, len(ADD[2])), "i")
    accepted = child.wait(lambda: log.entries("workspace/executeCommand"))
    assert accepted[0]["params"] == {"command": "fimble.accepted", "arguments": ["s0"]}
    child.type(" + c<Esc>")
    child.wait_lines(*ADD[:2], ADD[2] + " + c")
    child.type("u")
    child.wait_lines(*ADD)
    child.type("u")
    child.wait_lines("def a")
    child.type("<C-r><C-r>")
    child.wait_lines(*ADD[:2], ADD[2] + " + c")


def test_words_and_lines_are_taken_while_the_rest_stays(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<M-Right>")
    child.wait_lines("def add")
    child.wait_ghost("(a, b):", *ADD[1:])
    child.type("<M-C-Right>")
    child.wait_lines("def add(a, b):")
    child.wait_ghost(*ADD[1:])
    child.type("<M-C-Right>")
    child.wait_lines(*ADD[:2])
    child.wait_ghost(ADD[2])
    assert child.look().lines()[:3] == list(ADD)
    child.type("<M-C-Right>")
    child.wait_lines(*ADD)
    child.wait(lambda: log.entries("workspace/executeCommand"))
    partly = log.entries("textDocument/didPartiallyAcceptCompletion")
    lengths = [entry["params"]["acceptedLength"] for entry in partly]  # type: ignore[index]  # JSON
    assert lengths == [7, len(ADD[0]), len(ADD[0]) + 1 + len(ADD[1])]


def test_typing_along_keeps_it_on_the_screen_at_every_flush(
    start: StartNeovim, log: ScriptedLog
) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    n_asked = len(log.entries("textDocument/inlineCompletion"))
    for key in "dd(a":
        rows = child.rows_while(key, 3)
        assert set(rows) == {ADD}, "the ghost flickered"
    child.type("<BS>")
    child.wait_ghost("a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait_lines(*ADD)
    assert len(log.entries("textDocument/inlineCompletion")) == n_asked


def test_typing_along_over_a_line_break_keeps_it(start: StartNeovim) -> None:
    child = start(script={"texts": ["if a:\n    return a\nelse:\n    return b"]})
    child.type("iif a")
    child.wait_ghost(":", "    return a", "else:", "    return b")
    child.type(":<CR>")
    child.wait_ghost("return a", "else:", "    return b")
    child.type("<Tab>")
    child.wait_lines("if a:", "    return a", "else:", "    return b")


def test_it_is_gone_as_soon_as_the_text_goes_elsewhere(start: StartNeovim) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    rows = child.rows_while("z", 2)
    assert set(rows) == {("def az", rows[-1][1])}


def test_leaving_insert_mode_and_dismissing_put_it_away(start: StartNeovim) -> None:
    child = start()
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<C-]>")
    child.wait_ghost()
    child.type("d")
    child.wait_ghost("d(a, b):", *ADD[1:])
    child.type("<Esc>")
    child.wait_ghost()
    assert child.lines() == ["def ad"]


def test_candidates_go_round_and_the_shown_one_is_taken(start: StartNeovim) -> None:
    child = start(script=THREE)
    child.type("idef")
    child.wait_ghost(" add(a, b):", "    return a + b")
    assert child.look().lines()[0] == "def add(a, b): 1/3"
    child.type("<M-]>")
    child.wait_ghost(" add(a, b):", "    return b + a")
    child.type("<M-]>")
    child.wait_ghost(" ad(): ...")
    child.type("<M-[><M-[>")
    child.wait_ghost(" add(a, b):", "    return a + b")
    child.type("<M-]><Tab>")
    child.wait_lines("def add(a, b):", "    return b + a")


def test_asking_for_another_candidate_asks_the_server(start: StartNeovim, log: ScriptedLog) -> None:
    child = start(script={**THREE, "n_items_on_request": 3, "n_items": 1})
    child.type("idef")
    child.wait_ghost(" add(a, b):", "    return a + b")
    child.type("<Space>")  # along with it: the question is asked from a later cursor
    child.wait_ghost("add(a, b):", "    return a + b")
    child.type("<M-]>")
    child.wait_ghost("add(a, b):", "    return b + a")
    child.type("<M-[>")
    child.wait_ghost("add(a, b):", "    return a + b")
    child.type("<M-]><M-Right>")
    child.wait_lines("def add")
    child.wait_ghost("(a, b):", "    return b + a")
    kinds = [trigger_kind(entry) for entry in log.entries("textDocument/inlineCompletion")]
    assert kinds[-1] == 1


def test_typing_along_another_candidate_turns_to_it(start: StartNeovim) -> None:
    child = start(script=THREE)
    child.type("idef ad")
    child.wait_ghost("d(a, b):", "    return a + b")
    child.type("(")
    child.wait_ghost("): ...")


def test_without_automatic_only_the_trigger_key_asks(start: StartNeovim, log: ScriptedLog) -> None:
    child = start(setup={"automatic": False})
    child.type("idef a")
    child.wait_lines("def a")
    child.wait_ghost()
    child.type("<M-Bslash>")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    asked = log.entries("textDocument/inlineCompletion")
    assert [trigger_kind(entry) for entry in asked] == [1]


def test_enabling_the_server_is_all_the_setup_there_need_be(
    start: StartNeovim, neovim_name: str
) -> None:
    if neovim_name == "oldest":
        pytest.skip("vim.lsp.enable came with Neovim 0.11")
    child = start(setup=None)
    child.type("idef a")
    child.wait_ghost("dd(a, b):", *ADD[1:])
    child.type("<Tab>")
    child.wait_lines(*ADD)


def test_the_statusline_says_where_fimble_stands(start: StartNeovim) -> None:
    child = start()

    def words() -> object:
        return child.lua('return require("fimble").statusline()')

    child.wait(lambda: words() == "fimble", what="ready")
    child.command("Fimble pause")
    assert words() == "fimble: paused"
    child.command("Fimble resume")
    child.command("Fimble toggle")
    assert words() == "fimble: off here"
    child.command("enew")
    assert words() == ""
