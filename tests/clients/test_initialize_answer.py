"""What we announce, whole, and that captured editors get it in a unit they know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cattrs
import pytest
from lsprotocol import converters
from pytest_lsp import client_capabilities

from fimble_testing.raw_client import inline_params
from fimble_testing.scripted_completer import ScriptedCompleter
from fimble_testing.server_in_process import connected, open_house

EDITORS = ("visual-studio-code", "neovim@v0.10", "neovim@v0.11", "emacs")
SNAPSHOT = Path(__file__).parent / "initialize_answer.json"


async def _answer_to(capabilities: Any, **options: object) -> Any:
    async with open_house(lambda _: ScriptedCompleter()) as house, connected(house) as client:
        return await client.initialize(capabilities=capabilities, initializationOptions=options)


async def test_the_answer_to_initialize_is_the_one_on_record() -> None:
    """A change here is a change for every editor: review it, then copy it into the record."""
    answer = await _answer_to({})
    answer["serverInfo"]["version"] = "VERSION"
    assert answer == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("editor", EDITORS)
async def test_a_captured_editor_gets_inline_completion_in_a_unit_it_offered(editor: str) -> None:
    converter: cattrs.Converter = converters.get_converter()
    offered = converter.unstructure(client_capabilities(editor))
    announced = (await _answer_to(offered))["capabilities"]
    assert announced["inlineCompletionProvider"] == {}
    assert announced["completionProvider"]["triggerCharacters"]
    units = offered.get("general", {}).get("positionEncodings") or ["utf-16"]
    assert announced["positionEncoding"] == units[0]


async def test_menus_are_not_announced_where_they_are_not_wanted() -> None:
    async with open_house(lambda _: ScriptedCompleter()) as house, connected(house) as client:
        answer = await client.initialize(initializationOptions={"completion": {"menu": False}})
        assert "completionProvider" not in answer["capabilities"]
        assert answer["capabilities"]["inlineCompletionProvider"] == {}
        client.open("file:///a.py", "a\n")
        asked = inline_params("file:///a.py", 0, 1)
        assert (await client.request("textDocument/inlineCompletion", asked))["items"]
