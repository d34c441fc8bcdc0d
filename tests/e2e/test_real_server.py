"""The whole path, nothing scripted: `fimble serve`, a model folder, and a real LSP client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import pytest_lsp
from lsprotocol import types
from prometheus_client.parser import text_string_to_metric_families
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

from fimble_testing.raw_client import inline_params
from fimble_testing.server_process import REAL_SERVER, ServerProcess, start_server
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint

pytestmark = pytest.mark.asyncio(loop_scope="module")

URI = "file:///project/sum.py"
INLINE = "textDocument/inlineCompletion"
SECRET = "hunter2_is_the_password"
CODE = f"key = '{SECRET}'\n\n\ndef add(left, right):\n    return "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    model = write_tiny_checkpoint(folder / "tiny")
    (folder / "fimble").mkdir()
    (folder / "fimble" / "config.toml").write_text(
        f'[model]\nname = "{model}"\ndtype = "float32"\nn_threads = 1\n', encoding="utf-8"
    )
    # Patient, for a machine under load must not cut a suggestion short.
    completion = {"eagerness": 1, "acceleration_deadline_ms": 10_000}
    arguments = ("--stdio", "--metrics", "127.0.0.1:0")
    async with start_server(folder, *arguments, command=REAL_SERVER) as server:
        await server.client.initialize(initializationOptions={"completion": completion})
        server.client.open(URI, CODE + "\n")
        yield server


async def test_a_request_that_comes_while_the_model_loads_is_answered_when_it_is_there(
    server: ServerProcess,
) -> None:
    asked = {"textDocument": {"uri": URI}}
    result = await server.client.request(INLINE, inline_params(URI, 4, 11))
    explained = await server.client.request("fimble/explain", asked)
    assert explained["model"] == {"name": "tiny", "device": "cpu", "dtype": "float32"}
    assert explained["tokens"]["generated"] > 0
    assert len(result["items"]) + len(explained["hidden"]) == 1


async def test_each_key_is_answered_once_and_reuses_what_was_computed(
    server: ServerProcess,
) -> None:
    client, column = server.client, 11
    for version, character in enumerate("left + ri", start=2):
        client.insert(URI, 4, column, character, version=version)
        column += 1
        await client.request(INLINE, inline_params(URI, 4, column))
    explained = await client.request("fimble/explain", {"textDocument": {"uri": URI}})
    tokens = explained["tokens"]
    assert explained["source"] == "reuse" or tokens["reused"] >= tokens["prompt"] // 2
    assert set(client.n_answers.values()) == {1}


async def test_requests_in_all_encodings_and_line_ends_keep_the_server_alive(
    server: ServerProcess,
) -> None:
    client, uri = server.client, "file:///project/emoji.py"
    client.open(uri, "s = '😀'\r\nt = 'ü'\r\x0c\u2028\n\ttail = (\r\n")
    for line in range(6):
        for column in range(0, 12, 3):
            result = await client.request(INLINE, inline_params(uri, line, column))
            for item in result["items"]:
                start, end = item["range"]["start"], item["range"]["end"]
                assert start["line"] == end["line"]
                assert start["character"] <= end["character"]


async def test_the_metrics_page_counts_what_was_asked_and_names_no_file(
    server: ServerProcess,
) -> None:
    port = int(await server.logged(r"metrics on http://127.0.0.1:(\d+)/metrics"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    page = (await asyncio.wait_for(reader.read(), 60)).decode()
    writer.close()
    numbers = {
        sample.name + str(sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.partition("\r\n\r\n")[2])
        for sample in family.samples
    }
    assert numbers["fimble_row_tokens_total['reused']"] > 0
    assert numbers["fimble_row_seconds_count['decode']"] > 0
    assert 0 < numbers["fimble_cache_bytes[]"] <= numbers["fimble_cache_limit_bytes[]"]
    assert numbers["fimble_model_state['ready']"] == 1
    assert numbers["fimble_flop_utilisation[]"] > 0
    assert numbers["fimble_bandwidth_share[]"] > 0
    assert numbers["process_resident_memory_bytes[]"] > 2**20
    for word in ("sum", "emoji", "project", "hunter2"):
        assert f'"{word}' not in page
        assert f"/{word}" not in page


async def test_no_text_of_the_user_is_logged(server: ServerProcess) -> None:
    assert "mode=" in server.log
    assert "model=tiny" in server.log
    for word in ("hunter2", "left", "emoji", "def add"):
        assert word not in server.log
    assert "Traceback" not in server.log


async def test_a_missing_model_is_one_message_with_what_to_do(tmp_path: Path) -> None:
    async with start_server(tmp_path, "--model", "no/such/model", command=REAL_SERVER) as server:
        await server.client.initialize()
        server.client.open(URI, CODE)
        note = await server.client.notification("didChangeStatus", kind="Error")
        assert "no/such/model" in note["message"]
        for column in (8, 9):
            answer = await server.client.request(INLINE, inline_params(URI, 4, column))
            assert answer == {"items": []}
        assert len(server.client.notifications("window/showMessage")) == 1
        # A folder that is there mends it without a restart.
        model = await asyncio.to_thread(write_tiny_checkpoint, tmp_path / "tiny")
        server.client.notify(
            "workspace/didChangeConfiguration", {"settings": {"fimble": {"model": str(model)}}}
        )
        await server.client.notification("didChangeStatus", kind="Normal", busy=False)


@pytest_lsp.fixture(  # type: ignore[untyped-decorator]  # the library has no types for it
    config=ClientServerConfig(server_command=[sys.executable, "-P", "-m", "fimble_server", "serve"])
)
async def client(lsp_client: LanguageClient) -> AsyncIterator[None]:
    """A client of another make, which checks what it is sent against the specification."""
    await lsp_client.initialize_session(
        types.InitializeParams(
            capabilities=client_capabilities("neovim"),
            initialization_options={"model": "no/such/model"},
        )
    )
    yield
    await lsp_client.shutdown_session()


@pytest.mark.asyncio
async def test_a_client_that_checks_the_specification_has_no_complaint(
    client: LanguageClient,
) -> None:
    document = types.TextDocumentItem(uri=URI, language_id="python", version=1, text=CODE)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))
    identifier = types.TextDocumentIdentifier(uri=URI)
    result = await client.text_document_inline_completion_async(
        types.InlineCompletionParams(
            text_document=identifier,
            position=types.Position(line=4, character=11),
            context=types.InlineCompletionContext(
                trigger_kind=types.InlineCompletionTriggerKind.Automatic
            ),
        )
    )
    assert isinstance(result, types.InlineCompletionList)
    menu = await client.text_document_completion_async(
        types.CompletionParams(
            text_document=identifier, position=types.Position(line=4, character=11)
        )
    )
    assert isinstance(menu, types.CompletionList)
