"""Laws of the wire: whatever arrives, the server lives, and every request has one answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fimble_server.lsp.session import SessionHouse
from fimble_testing.raw_client import RawClient, RpcError, inline_params
from fimble_testing.scripted_completer import ScriptedCompleter
from fimble_testing.server_in_process import connected, open_house

URI = "file:///a/b.py"
INLINE = "textDocument/inlineCompletion"
SECRET = "secret_of_the_user"


@pytest_asyncio.fixture
async def house() -> AsyncIterator[SessionHouse]:
    async with open_house(lambda _: ScriptedCompleter()) as house:
        yield house


@pytest_asyncio.fixture
async def client(house: SessionHouse) -> AsyncIterator[RawClient]:
    async with connected(house) as client:
        await client.initialize()
        client.open(URI, "ab\n")
        yield client


async def _is_alive(client: RawClient) -> bool:
    result = await client.request(INLINE, inline_params(URI, 0, 1))
    return [item["insertText"] for item in result["items"]] == ["x"]


async def _error_of(client: RawClient, message_id: object) -> Any:
    reply = await client.message(lambda told: "error" in told and told["id"] == message_id)
    assert "data" not in reply["error"]
    assert SECRET not in json.dumps(reply)
    return reply["error"]["code"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "text": "secret_of_the_user"', -32700),
        (b"\xff\xfe\x00", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'"shutdown"', -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "2.0"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "shutdown"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {"a": 1}, "method": "shutdown"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "shutdown"}', -32600),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_message_that_is_none_is_answered_with_an_error_without_id(
    client: RawClient, body: bytes, code: int
) -> None:
    client.send_body(body)
    assert await _error_of(client, None) == code
    assert await _is_alive(client)


@pytest.mark.parametrize(
    "message",
    [
        {"id": "mine", "method": "shutdown"},
        {"jsonrpc": "1.0", "id": "mine", "method": "shutdown"},
        {"jsonrpc": "2.0", "id": "mine"},
        {"jsonrpc": "2.0", "id": "mine", "method": 7},
        {"jsonrpc": "2.0", "id": "mine", "method": "initialize", "params": {"capabilities": {}}},
    ],
)
async def test_a_request_that_is_none_is_answered_by_its_id(
    client: RawClient, message: dict[str, object]
) -> None:
    client.send(message)
    assert await _error_of(client, "mine") == -32600
    assert await _is_alive(client)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (INLINE, None),
        (INLINE, []),
        (INLINE, SECRET),
        (INLINE, {"position": {"line": 0, "character": 0}}),
        (INLINE, {**inline_params(URI, 0, 0), "position": {"line": -1, "character": 0}}),
        (INLINE, {**inline_params(URI, 0, 0), "position": {"line": SECRET, "character": 0}}),
        (INLINE, {**inline_params(URI, 0, 0), "position": {"line": 2**40, "character": 0}}),
        (INLINE, {**inline_params(URI, 0, 0), "textDocument": SECRET}),
        (INLINE, {**inline_params(URI, 0, 0), "context": {"triggerKind": 99}}),
        ("textDocument/completion", {"textDocument": {"uri": URI}}),
        ("fimble/explain", {}),
        ("fimble/explain", {"textDocument": {"uri": 7}}),
        ("fimble/explain", None),
        ("workspace/executeCommand", {"command": SECRET}),
        ("workspace/executeCommand", {"command": "fimble.accepted", "arguments": []}),
        ("workspace/executeCommand", {"command": "fimble.accepted", "arguments": ["a", "b"]}),
        ("workspace/executeCommand", {"command": "fimble.accepted"}),
        ("workspace/executeCommand", {"command": "fimble.accepted", "arguments": [{"a": SECRET}]}),
        ("workspace/executeCommand", {"arguments": [SECRET]}),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_wrong_parameters_are_answered_with_an_error_that_quotes_nothing(
    client: RawClient, method: str, params: object, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RpcError) as caught:
        await client.request(method, params)
    assert caught.value.code == -32602
    assert caught.value.data is None
    assert SECRET not in str(caught.value)
    assert await _is_alive(client)


@pytest.mark.parametrize(
    "method", ["initialized", "textDocument/didChange", "textDocument/didClose", "$/cancelRequest"]
)
async def test_a_notification_with_an_id_is_a_request_and_answered(
    client: RawClient, method: str
) -> None:
    with pytest.raises(RpcError) as caught:
        await client.request(method, {"textDocument": {"uri": URI}, "id": 4711})
    assert caught.value.code == -32600
    assert await _is_alive(client)


async def test_an_unknown_method_is_refused(client: RawClient) -> None:
    with pytest.raises(RpcError) as caught:
        await client.request("textDocument/hover", {"textDocument": {"uri": URI}})
    assert caught.value.code == -32601
    assert await _is_alive(client)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("textDocument/didOpen", {"textDocument": {"uri": URI}}),
        ("textDocument/didOpen", {}),
        ("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}}),
        (
            "textDocument/didChange",
            {"textDocument": {"uri": "file:///no", "version": 2}, "contentChanges": []},
        ),
        (
            "textDocument/didChange",
            {
                "textDocument": {"uri": URI, "version": 2},
                "contentChanges": [
                    {
                        "range": {
                            "start": {"line": -1, "character": 0},
                            "end": {"line": 0, "character": 0},
                        },
                        "text": "",
                    }
                ],
            },
        ),
        ("textDocument/didClose", {"textDocument": {"uri": "file:///never/opened"}}),
        ("textDocument/didShowCompletion", {}),
        ("textDocument/didShowCompletion", {"item": {"command": {"arguments": [7]}}}),
        ("textDocument/didShowCompletion", {"item": {"command": {"arguments": ["gone"]}}}),
        ("textDocument/didPartiallyAcceptCompletion", {"acceptedLength": -1}),
        ("textDocument/didPartiallyAcceptCompletion", [1]),
        (
            "textDocument/didPartiallyAcceptCompletion",
            {"item": {"command": {"arguments": ["gone"]}}, "acceptedLength": 10**12},
        ),
        ("textDocument/didFocus", {}),
        ("workspace/didChangeConfiguration", None),
        ("workspace/didChangeConfiguration", {"settings": 3}),
        ("$/cancelRequest", {}),
        ("$/cancelRequest", {"id": 4711}),
        ("$/setTrace", {"value": "verbose"}),
        ("$/unknown", {"any": "thing"}),
        ("unknown/notification", None),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_strange_notification_changes_nothing_and_is_not_answered(
    client: RawClient, method: str, params: object
) -> None:
    n_answers = client.n_answers.total()
    client.notify(method, params)
    assert await _is_alive(client)
    assert client.n_answers.total() == n_answers + 1


async def test_edits_far_outside_the_text_are_moved_into_it(client: RawClient) -> None:
    """Whole and ranged changes, reversed ranges, lone halves of surrogate pairs."""
    far = {"line": 10**6, "character": 10**6}
    for version, change in enumerate(
        [
            {"range": {"start": far, "end": {"line": 0, "character": 0}}, "text": "ab"},
            {"range": {"start": far, "end": far}, "text": "\ud83d"},
            {"range": {"start": far, "end": far}, "text": "\ude00"},
            {"text": "a\u2028b\x0c\x00\ud800"},
            {"text": "ab"},
        ]
    ):
        client.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": URI, "version": -version}, "contentChanges": [change]},
        )
        result = await client.request(INLINE, inline_params(URI, 2**31 - 1, 2**31 - 1))
        assert len(result["items"]) == 1
    assert await _is_alive(client)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: 2\r\n\r\n{}{}{}",
        b'Content-Length: 5\r\n\r\n{"jsonrpc": "2.0", "method": "x"}',
        b"\r\n\r\n\r\n",
        b"x" * 300_000 + b"\r\n",
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_after_broken_frames_the_next_message_is_read(
    client: RawClient, noise: bytes
) -> None:
    client.send_bytes(noise)
    assert await _is_alive(client)


async def test_a_length_that_is_too_large_costs_the_message_it_swallows_and_no_more(
    client: RawClient,
) -> None:
    client.send_bytes(b"Content-Length: 50\r\n\r\n{}")
    client.ask(INLINE, inline_params(URI, 0, 1))
    assert await _is_alive(client)


async def test_before_initialize_requests_are_refused_and_notifications_ignored(
    house: SessionHouse,
) -> None:
    async with connected(house) as client:
        client.open(URI, "early\n")
        with pytest.raises(RpcError) as caught:
            await client.request(INLINE, inline_params(URI, 0, 0))
        assert caught.value.code == -32002
        await client.initialize()
        assert await client.request(INLINE, inline_params(URI, 0, 0)) == {"items": []}


async def test_an_initialize_that_is_refused_can_be_said_again(house: SessionHouse) -> None:
    async with connected(house) as client:
        with pytest.raises(RpcError) as caught:
            await client.request("initialize", SECRET)
        assert caught.value.code == -32602
        await client.initialize()
        client.open(URI, "ab\n")
        assert await _is_alive(client)


async def test_after_shutdown_requests_are_refused(client: RawClient) -> None:
    assert await client.request("shutdown") is None
    with pytest.raises(RpcError) as caught:
        await client.request(INLINE, inline_params(URI, 0, 0))
    assert caught.value.code == -32600


async def test_shutdown_answers_what_still_runs(house: SessionHouse) -> None:
    completer = ScriptedCompleter()
    completer.gate.clear()
    async with open_house(lambda _: completer) as slow_house, connected(slow_house) as client:
        await client.initialize()
        client.open(URI, "ab\n")
        _, future = client.ask(INLINE, inline_params(URI, 0, 0))
        assert await client.request("shutdown") is None
        assert await future is None


async def test_the_log_never_quotes_a_message(
    client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    from fimble_server.lsp.safe_logging import SafeFormatter

    client.notify("textDocument/didOpen", {"textDocument": {"uri": SECRET, "text": SECRET}})
    client.send_body(b'{"jsonrpc": "2.0", "method": "secret_of_the_user')
    client.send({"jsonrpc": "3.0", "id": SECRET, "method": SECRET, "params": {"text": SECRET}})
    client.notify(SECRET, {"text": SECRET})
    with pytest.raises(RpcError):
        await client.request(f"fimble/{SECRET}", {"text": SECRET})
    with pytest.raises(RpcError):
        await client.request("workspace/executeCommand", {"command": SECRET})
    assert await _is_alive(client)
    formatter = SafeFormatter("%(message)s")
    assert caplog.records
    assert SECRET not in "\n".join(formatter.format(record) for record in caplog.records)
