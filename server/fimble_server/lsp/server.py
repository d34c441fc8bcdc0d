"""The handlers: each method of LSP that we serve, handed to the connection's session.

Owns the table of features and their options. Decides nothing: a handler is one call. One
server object a connection; it never ends the process.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from fimble_server import __version__
from fimble_server.lsp.notes import accepted_id_from_lsp
from fimble_server.lsp.protocol import FimbleProtocol, build_converter
from fimble_server.lsp.safe_logging import describe_safely
from fimble_server.lsp.session import Session, SessionHouse

__all__ = ["FimbleServer"]

log = logging.getLogger(__name__)


# Not a blank, a colon or an end of line: a menu that opens there takes the Enter key from whoever
# only wants a new line.
_TRIGGER_CHARACTERS = (".", "(", "[")


class FimbleServer(LanguageServer):
    """One connection's pygls server around its session."""

    protocol: FimbleProtocol

    def __init__(self, house: SessionHouse) -> None:
        super().__init__(
            "fimble",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            protocol_cls=FimbleProtocol,
            converter_factory=build_converter,
        )
        self.session = Session(house=house, client=_ToClient(self.protocol))
        self.has_ended = False
        self.ended_cleanly = False
        _register_features(self)

    def end(self, *, is_clean: bool) -> None:
        """The client said `exit`; `is_clean` where it said `shutdown` before."""
        self.has_ended = True
        self.ended_cleanly = is_clean

    def report_server_error(self, error: Exception, source: object) -> None:
        """Log the place of a fault. The user is told of what the user can mend, not of this."""
        if isinstance(error, JsonRpcInvalidParams):
            log.warning("a message with parameters of the wrong shape was ignored")
            return
        log.error("a handler failed: %s", describe_safely(error))


class _ToClient:
    """The session's way to its client; see `ClientPort`."""

    def __init__(self, protocol: FimbleProtocol) -> None:
        self._protocol = protocol

    def notify(self, method: str, params: object) -> None:
        self._protocol.notify(method, params)

    def send_request(self, method: str, params: object) -> Future[object]:
        return self._protocol.send_request(method, params)


def _initialize(ls: FimbleServer, params: types.InitializeParams) -> None:
    ls.session.initialize(params)
    if ls.session.settings.completion.menu:
        options = types.CompletionOptions(trigger_characters=_TRIGGER_CHARACTERS)
        ls.feature(types.TEXT_DOCUMENT_COMPLETION, options)(_complete)


def _initialized(ls: FimbleServer, _: types.InitializedParams) -> None:
    ls.session.start()


def _shutdown(ls: FimbleServer, _: object) -> None:
    ls.session.end()


async def _inline_complete(
    ls: FimbleServer, params: types.InlineCompletionParams
) -> types.InlineCompletionList | None:
    return await ls.session.suggest_inline(params)


async def _complete(
    ls: FimbleServer, params: types.CompletionParams
) -> types.CompletionList | None:
    return await ls.session.suggest_menu(params)


def _change_configuration(ls: FimbleServer, params: types.DidChangeConfigurationParams) -> None:
    ls.session.change_settings(params.settings)


def _change_files(ls: FimbleServer, params: types.DidChangeWatchedFilesParams) -> None:
    ls.session.change_files(params)


def _change_folders(ls: FimbleServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    ls.session.change_folders(params)


def _did_show(ls: FimbleServer, params: object) -> None:
    ls.session.note_shown(params)


def _did_partially_accept(ls: FimbleServer, params: object) -> None:
    ls.session.note_partially_accepted(params)


def _did_focus(ls: FimbleServer, params: object) -> None:
    ls.session.note_focus(params)


def _did_diagnose(ls: FimbleServer, params: object) -> None:
    ls.session.note_diagnostics(params)


def _status(ls: FimbleServer, _: object) -> dict[str, object]:
    return ls.session.describe_status()


def _explain(ls: FimbleServer, params: object) -> dict[str, object]:
    return ls.session.explain(params)


def _accepted(ls: FimbleServer, *arguments: object) -> None:
    ls.session.note_accepted(accepted_id_from_lsp(arguments))


def _snooze(ls: FimbleServer, *arguments: object) -> list[dict[str, object]]:
    return ls.session.quiet.snooze(arguments)


def _wake(ls: FimbleServer, *arguments: object) -> list[dict[str, object]]:
    return ls.session.quiet.wake(arguments)


def _toggle(ls: FimbleServer, *arguments: object) -> list[dict[str, object]]:
    return ls.session.quiet.toggle(arguments)


def _register_features(server: FimbleServer) -> None:
    """NOTE: inline completion is announced only because its options are given."""
    server.feature(types.INITIALIZE)(_initialize)
    server.feature(types.INITIALIZED)(_initialized)
    server.feature(types.SHUTDOWN)(_shutdown)
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(
        _inline_complete
    )
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(_change_configuration)
    server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(_change_files)
    server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)(_change_folders)
    server.feature("textDocument/didShowCompletion")(_did_show)
    server.feature("textDocument/didPartiallyAcceptCompletion")(_did_partially_accept)
    server.feature("textDocument/didFocus")(_did_focus)
    server.feature("fimble/diagnostics")(_did_diagnose)
    server.feature("fimble/status")(_status)
    server.feature("fimble/explain")(_explain)
    server.command("fimble.accepted")(_accepted)
    server.command("fimble.snooze")(_snooze)
    server.command("fimble.wake")(_wake)
    server.command("fimble.toggleSilence")(_toggle)
