"""An editor as the server sees it: starts `fimble serve`, opens a file, types, asks.

Owns the process and the connection. It sends what an editor sends and keeps its own copy of
the text; it never looks inside the server but through `fimble/status`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lsprotocol import types
from pygls.lsp.client import LanguageClient

from fimble_eval.typing_replay import Keystroke

__all__ = ["EditorClient", "Explanation", "Status"]

_CLIENT_CAPABILITIES = types.ClientCapabilities(
    general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16]),
    text_document=types.TextDocumentClientCapabilities(
        inline_completion=types.InlineCompletionClientCapabilities()
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The server's answer to `fimble/status`, as far as a measurement needs it."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The server's answer to `fimble/explain`, as far as a measurement needs it."""

    source: str
    mode: str
    rule: str
    n_shown: int
    n_prompt_tokens: int
    n_reused_tokens: int
    model: str
    dtype: str


class EditorClient:
    """One editor with one open file. Invariant: `text` is what the server was told.

    Use it as an async context manager: entering starts the server's process and initializes
    it, leaving shuts it down and waits for its end.
    """

    def __init__(self, arguments: tuple[str, ...] = (), *, uri: str, language_id: str) -> None:
        self.text = ""
        self._arguments = arguments
        self._uri = uri
        self._language_id = language_id
        self._version = 0
        self._client = LanguageClient("fimble-eval", "1")
        self._client.feature("didChangeStatus")(lambda note: None)
        self._drain: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        command = ("-P", "-m", "fimble_server", "serve", *self._arguments)
        await self._client.start_io(sys.executable, *command)
        self._drain = asyncio.create_task(_drain(self._process))
        await self._client.initialize_async(
            types.InitializeParams(capabilities=_CLIENT_CAPABILITIES)
        )
        self._client.initialized(types.InitializedParams())
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.shutdown_async(None)
        self._client.exit(None)
        await asyncio.wait_for(self._client.stop(), timeout=10)  # type: ignore[no-untyped-call]  # Theirs.
        await self._drain

    @property
    def server_process_id(self) -> int:
        """The server's process, for reading its memory."""
        return self._process.pid

    @property
    def _process(self) -> asyncio.subprocess.Process:
        process = self._client._server  # The client library keeps it private.
        assert process is not None, "the server was started"
        return process

    def open(self, text: str) -> None:
        """Open the file with this text."""
        self.text = text
        self._client.text_document_did_open(
            types.DidOpenTextDocumentParams(
                text_document=types.TextDocumentItem(
                    uri=self._uri, language_id=self._language_id, version=0, text=text
                )
            )
        )

    def replace(self, start: int, end: int, inserted: str) -> None:
        """Replace the characters `[start, end)`, as an incremental change."""
        change = types.TextDocumentContentChangePartial(
            range=types.Range(start=self._position(start), end=self._position(end)), text=inserted
        )
        self.text = self.text[:start] + inserted + self.text[end:]
        self._version += 1
        self._client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(
                    uri=self._uri, version=self._version
                ),
                content_changes=[change],
            )
        )

    def type_key(self, key: Keystroke) -> None:
        """Insert one keystroke."""
        self.replace(key.offset, key.offset, key.inserted)

    async def suggest(self, offset: int) -> list[types.InlineCompletionItem] | None:
        """Ask for ghost text at a character; None when a newer request replaced this one."""
        answer = await self._client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                text_document=types.TextDocumentIdentifier(uri=self._uri),
                position=self._position(offset),
                context=types.InlineCompletionContext(
                    trigger_kind=types.InlineCompletionTriggerKind.Automatic
                ),
            )
        )
        return answer.items if isinstance(answer, types.InlineCompletionList) else answer  # type: ignore[return-value]  # The other shape is the list itself.

    async def status(self) -> Status:
        """The server's state, from `fimble/status`."""
        answer = await self._client.protocol.send_request_async("fimble/status", {})
        return Status(state=answer.state)

    async def explain(self) -> Explanation:
        """Why the last request of the file ended as it did, from `fimble/explain`."""
        answer = await self._client.protocol.send_request_async(
            "fimble/explain", {"textDocument": {"uri": self._uri}}
        )
        return Explanation(
            source=answer.source,
            mode=answer.mode,
            rule=answer.rule,
            n_shown=answer.n_shown,
            n_prompt_tokens=answer.tokens.prompt,
            n_reused_tokens=answer.tokens.reused,
            model=answer.model.name if answer.model else "none",
            dtype=answer.model.dtype if answer.model else "none",
        )

    def _position(self, offset: int) -> types.Position:
        line = self.text.count("\n", 0, offset)
        line_start = self.text.rfind("\n", 0, offset) + 1
        n_utf16 = len(self.text[line_start:offset].encode("utf-16-le")) // 2
        return types.Position(line=line, character=n_utf16)


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read the server's log away: a full pipe would stop it in the middle of a line."""
    assert process.stderr is not None, "the client library pipes it"
    while await process.stderr.read(2**16):
        pass
