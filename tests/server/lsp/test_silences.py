"""A user who wants silence for now has it: in a file, a language, everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pygls.exceptions import JsonRpcInvalidParams

from fimble_server.lsp.engine_status import EngineStatus
from fimble_server.lsp.silences import Silences, silence_request_from_lsp
from fimble_server.lsp.status_note import plan_status_note
from fimble_testing.raw_client import RawClient, inline_params
from fimble_testing.scripted_completer import ScriptedCompleter, build_answer
from fimble_testing.server_in_process import connected, open_house

INLINE = "textDocument/inlineCompletion"
FILES = {"file:///a/b.py": "python", "file:///a/c.py": "python", "file:///a/d.go": "go"}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[RawClient]:
    completer = ScriptedCompleter()
    completer.script = lambda snapshot: build_answer(snapshot, "x")
    async with open_house(lambda _: completer) as house, connected(house) as client:
        await client.initialize()
        for uri, language_id in FILES.items():
            client.open(uri, "a = \n", language_id=language_id)
        yield client


async def _speaking(client: RawClient) -> set[str]:
    """The files in which something is suggested."""
    found = set()
    for uri in FILES:
        result: Any = await client.request(INLINE, inline_params(uri, 0, 4))
        found |= {uri} if result["items"] else set()
    return found


async def _command(client: RawClient, command: str, *arguments: object) -> Any:
    params = {"command": command, "arguments": list(arguments)}
    return await client.request("workspace/executeCommand", params)


@pytest.mark.parametrize(
    ("argument", "silent"),
    [
        ({"scope": "file", "uri": "file:///a/b.py", "minutes": 5}, {"file:///a/b.py"}),
        ({"scope": "language", "languageId": "go"}, {"file:///a/d.go"}),
        ({"scope": "session", "minutes": 0.5}, set(FILES)),
    ],
)
async def test_a_scope_is_silent_until_it_is_woken(
    client: RawClient, argument: dict[str, object], silent: set[str]
) -> None:
    """What lies in the scope gets nothing and says why; the rest goes on; waking ends it."""
    (told,) = await _command(client, "fimble.snooze", argument)
    assert told["scope"] == argument["scope"]
    assert await _speaking(client) == set(FILES) - silent
    status: Any = await client.request("fimble/status", {})
    assert [each["scope"] for each in status["silences"]] == [argument["scope"]]
    for uri in silent:
        explanation: Any = await client.request("fimble/explain", {"textDocument": {"uri": uri}})
        assert "snoozed" in explanation["silence"] or "switched off" in explanation["silence"]
    assert await _command(client, "fimble.wake", argument) == []
    assert await _speaking(client) == set(FILES)


async def test_a_toggle_goes_both_ways(client: RawClient) -> None:
    """Without an argument the whole session is meant."""
    assert len(await _command(client, "fimble.toggleSilence")) == 1
    assert await _speaking(client) == set()
    assert await _command(client, "fimble.toggleSilence") == []
    assert await _speaking(client) == set(FILES)


async def test_what_is_shared_is_silent_for_every_client() -> None:
    """All clients of a process are silent then, hear of it, and each may lift it."""
    completer = ScriptedCompleter()
    completer.script = lambda snapshot: build_answer(snapshot, "x")
    announced = {"experimental": {"fimble": {"silences": True}}}
    changed = "fimble/didChangeSilences"
    async with (
        open_house(lambda _: completer) as house,
        connected(house) as one,
        connected(house) as other,
    ):
        for client in (one, other):
            await client.initialize(capabilities=announced)
            for uri, language_id in FILES.items():
                client.open(uri, "a = \n", language_id=language_id)
        await _command(one, "fimble.snooze", {"scope": "language", "languageId": "go"})
        assert await _speaking(other) == set(FILES)
        shared = {"scope": "session", "minutes": 10, "shared": True}
        await _command(one, "fimble.snooze", shared)
        assert await _speaking(other) == set()
        heard = await other.notification(changed)
        assert [each["scope"] for each in heard["silences"]] == ["session"]
        await _command(other, "fimble.wake")
        assert await _speaking(one) == set(FILES) - {"file:///a/d.go"}


def test_two_tables_are_silent_as_long_as_one_of_them() -> None:
    """The later end counts, whichever table it stands in."""
    brief, long = (
        Silences().with_silence(silence_request_from_lsp([{"minutes": n}]), now_ms=0.0)
        for n in (1, 2)
    )
    for joined in (brief.joined(long), long.joined(brief)):
        assert joined == long


def test_the_status_says_that_all_is_silent() -> None:
    """A silent session shows as inactive, with how long it is to last."""
    request = silence_request_from_lsp([{"minutes": 5}])
    silence = Silences().with_silence(request, now_ms=0.0).session_reason(now_ms=1.0)
    note = plan_status_note(
        engine=EngineStatus(),
        is_enabled=True,
        settings_error=None,
        is_thinking=False,
        silence=silence,
    )
    assert (note.kind, note.message) == ("Inactive", "Fimble is snoozed for 5 more minutes.")


def test_a_snooze_ends_by_itself() -> None:
    """After its minutes nothing is silent, and the table says so."""
    request = silence_request_from_lsp([{"scope": "session", "minutes": 2}])
    silences = Silences().with_silence(request, now_ms=1_000.0)
    assert silences.reason(uri="file:///a", language_id="go", now_ms=121_000.0 - 1)
    assert silences.reason(uri="file:///a", language_id="go", now_ms=121_000.0) is None
    assert silences.to_lsp(121_000.0) == []


@pytest.mark.parametrize(
    "argument",
    [
        {"scope": "file"},
        {"scope": "language", "languageId": 7},
        {"scope": "planet"},
        {"minutes": 0},
        {"minutes": True},
        {"minutes": "5"},
        {"minutes": 1e9},
        {"shared": 1},
        "file",
    ],
)
def test_what_makes_no_sense_is_refused(argument: object) -> None:
    """A scope without its name, or minutes that are none, is the client's mistake."""
    with pytest.raises(JsonRpcInvalidParams):
        silence_request_from_lsp([argument])
