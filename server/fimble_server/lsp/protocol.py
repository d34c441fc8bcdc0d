"""JSON-RPC as we want it from pygls: one answer a request, and none that quotes or explains us.

Owns what is refused before a handler sees it, and the last touch to every reply. Overrides
pygls where it would keep a second copy of each buffer, end the process, or send a traceback.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, cast

from cattrs import Converter
from lsprotocol import converters, types
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    LanguageServerProtocol,
    lsp_method,
)

from fimble_server.lsp.safe_logging import describe_safely

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pygls.protocol.json_rpc import RPCMessage

    from fimble_server.lsp.server import FimbleServer

__all__ = ["ErrorCode", "FimbleProtocol", "Writer", "build_converter"]

log = logging.getLogger(__name__)

MessageId = int | str


class Writer(Protocol):
    """Where replies go. Called on the event loop only."""

    def write(self, data: bytes) -> None:
        """Send one whole message."""
        ...

    def close(self) -> None:
        """No more will be sent."""
        ...


class ErrorCode(IntEnum):
    """The codes of JSON-RPC and LSP that we send, each with its whole message."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_INITIALIZED = -32002
    REQUEST_CANCELLED = -32800


# What a client may opt in to by announcing the same; see docs/protocol.md.
EXPERIMENTAL: dict[str, object] = {"fimble": {"more": True, "silences": True}}

# A reply quotes neither the request nor an exception: both may hold the user's text.
_MESSAGES: Mapping[int, str] = {
    ErrorCode.PARSE_ERROR: "The message is not valid JSON.",
    ErrorCode.INVALID_REQUEST: "The message is not a request that can be served now.",
    ErrorCode.METHOD_NOT_FOUND: "Fimble has no such method.",
    ErrorCode.INVALID_PARAMS: "The parameters do not have the shape that the method wants.",
    ErrorCode.INTERNAL_ERROR: "A fault inside Fimble; its log has the place.",
    ErrorCode.NOT_INITIALIZED: "The first request must be `initialize`.",
}
_NOTIFICATIONS = frozenset(
    method for method, (_, response, _, _) in types.METHOD_TO_TYPES.items() if response is None
)


def build_converter() -> Converter:
    """lsprotocol's converter; parameters of methods it does not know stay as they arrived."""
    converter = converters.get_converter()
    converter.register_structure_hook(
        JsonRPCRequestMessage,
        lambda message, _: JsonRPCRequestMessage(
            id=message["id"],
            method=message["method"],
            jsonrpc=message["jsonrpc"],
            params=message.get("params"),
        ),
    )
    converter.register_structure_hook(
        JsonRPCNotification,
        lambda message, _: JsonRPCNotification(
            method=message["method"], jsonrpc=message["jsonrpc"], params=message.get("params")
        ),
    )
    converter.register_structure_hook(
        JsonRPCResponseMessage,
        lambda message, _: JsonRPCResponseMessage(
            id=message["id"], jsonrpc=message["jsonrpc"], result=message.get("result")
        ),
    )
    return converter


class FimbleProtocol(LanguageServerProtocol):
    """One connection's protocol. Keeps the invariant of one answer for every request."""

    _server: FimbleServer

    def receive(self, body: bytes | None) -> None:
        """Take one message's body. Never raises: what cannot be served is answered so."""
        try:
            message = json.loads(body) if body is not None else None
        except (ValueError, RecursionError):
            self._refuse(None, ErrorCode.PARSE_ERROR)
            return
        if not isinstance(message, dict):
            self._refuse(None, ErrorCode.INVALID_REQUEST)
            return
        message_id = _message_id(message)
        refusal = self._refusal(message)
        if refusal is None:
            self._dispatch(message, message_id)
        elif "id" in message or "method" not in message:
            self._refuse(message_id, refusal)
        else:
            log.debug("a notification was ignored: %s", refusal.name)

    def _refusal(self, message: Mapping[str, object]) -> ErrorCode | None:
        """Why a message is not even looked at; None where it is."""
        method = message.get("method")
        is_reply = method is None and ("result" in message or "error" in message)
        if message.get("jsonrpc") != "2.0" or not (is_reply or isinstance(method, str)):
            return ErrorCode.INVALID_REQUEST
        if "id" in message and _message_id(message) is None and not is_reply:
            return ErrorCode.INVALID_REQUEST
        if is_reply or method == types.EXIT:
            return None
        if self._shutdown:
            return ErrorCode.INVALID_REQUEST
        if not self._server.session.is_initialized and method != types.INITIALIZE:
            return ErrorCode.NOT_INITIALIZED
        if self._server.session.is_initialized and method == types.INITIALIZE:
            return ErrorCode.INVALID_REQUEST
        if "id" in message and method in _NOTIFICATIONS:
            return ErrorCode.INVALID_REQUEST  # Nobody would answer it.
        is_served = method == types.CANCEL_REQUEST or any(
            method in features for features in (self.fm.features, self.fm.builtin_features)
        )
        return None if is_served else ErrorCode.METHOD_NOT_FOUND

    def _dispatch(self, message: dict[str, object], message_id: MessageId | None) -> None:
        """Give a message its type and hand it to pygls."""
        try:
            structured = self.structure_message(message)
        except Exception as error:  # noqa: BLE001 - the first wall: converters raise anything
            log.warning("a message of the wrong shape: %s", type(error).__name__)
            if "id" in message and "method" in message:
                self._refuse(message_id, ErrorCode.INVALID_PARAMS)
            return
        try:
            self.handle_message(structured)
        except Exception as error:  # noqa: BLE001 - the first wall: a handler's fault is its own
            log.error("a message could not be handled: %s", describe_safely(error))

    def structure_message(self, data: dict[str, object]) -> RPCMessage:
        """The message with its type from LSP. Raises what the converter raises."""
        method = data.get("method")
        if isinstance(method, str):
            fallback = JsonRPCRequestMessage if "id" in data else JsonRPCNotification
            message_type = self.get_message_type(method) or fallback
        elif "error" in data:
            message_type = types.ResponseErrorMessage
        else:
            reply_type = self._result_types.pop(cast("str", data.get("id")), None)
            message_type = reply_type or JsonRPCResponseMessage
        return cast("RPCMessage", self._converter.structure(data, message_type))

    def _refuse(self, message_id: MessageId | None, code: ErrorCode) -> None:
        # NOTE: written out, for the converter leaves out an id that is null; JSON-RPC wants it.
        error = {"code": int(code), "message": _MESSAGES[code]}
        self._send_data({"jsonrpc": "2.0", "id": message_id, "error": error})

    def _send_response(
        self,
        msg_id: MessageId,
        result: object = None,
        error: types.ResponseError | None = None,
    ) -> None:
        """Send the one answer. What was cancelled is `null`; an error loses its details.

        pygls has no place for experimental capabilities: they are put in here.
        """
        if isinstance(result, types.InitializeResult):
            result.capabilities.experimental = EXPERIMENTAL
        if error is not None and error.code != ErrorCode.REQUEST_CANCELLED:
            code = error.code if error.code in _MESSAGES else ErrorCode.INTERNAL_ERROR
            error = types.ResponseError(code=code, message=_MESSAGES[code])
            super()._send_response(msg_id, None, error)
        else:
            super()._send_response(msg_id, result)

    def _handle_cancel_notification(self, msg_id: MessageId) -> None:
        """Cancel a request that still runs; one that was answered meanwhile is no news."""
        if msg_id in self._request_futures:
            super()._handle_cancel_notification(msg_id)

    @lsp_method(types.EXIT)
    def lsp_exit(self, *_: object) -> Iterator[None]:  # type: ignore[override]  # pygls ends the process from here
        """Note the wish; the connection's loop ends, and with stdio the process."""
        self._server.end(is_clean=self._shutdown)
        yield from ()

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Open in our own buffers; pygls' workspace would keep a second copy."""
        self._server.session.open(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Change our own buffer; pygls counts other lines than LSP does."""
        self._server.session.change(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Close our own buffer."""
        self._server.session.close(params)


def _message_id(message: Mapping[str, object]) -> MessageId | None:
    """A message's id where it has one of a type that LSP allows."""
    message_id = message.get("id")
    is_allowed = isinstance(message_id, int | str) and not isinstance(message_id, bool)
    return cast("MessageId", message_id) if is_allowed else None
