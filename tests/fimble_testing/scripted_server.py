"""A language server that answers by a script, for editors' tests: slow, silent or dead as told.

Speaks LSP over stdin and stdout with nothing but the standard library, so that it starts at once.
The script is a JSON file named by the environment; what is heard is written to a log beside it.

Script keys, all optional: `texts` (whole texts; those that begin with the cursor's line up to the
cursor are suggested), `encoding`, `delays_s` (one a request; the last repeats), `answers` (one a
request: "texts", "null", "empty", "error"), `from_cursor` (ranges begin at the cursor, not at the
line's first character), `menu_to_line_end` (menu entries replace the rest of the line too),
`n_items`, `n_items_on_request` (for those that the user asked for), `dies_at_starts` (the
numbers of starts, from 0, at which the process ends by a fault instead of answering),
`more_after_s` (texts are answered by their first line; so long after the first such answer
`fimble/more` is sent for the newest, and from then on they are answered whole).
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
_STATUS = {
    "version": "0", "python": "3", "process_id": 1, "kind": "Normal", "busy": False,
    "message": "scripted", "model": None, "position_encoding": "utf-16", "n_buffers": 1,
}  # fmt: skip
_WHY = {
    "mode": "acceleration", "rule": "mid-line", "source": "model", "n_shown": 1,
    "suggestions": [{"text": "x\ny", "confidence": 0.5}],
    "hidden": [{"text": "z", "reason": "not confident"}],
    "tokens": {"prompt": 9, "reused": 8, "generated": 7},
    "timing_ms": {"queue": 1, "prefill": 2, "decode": 3, "total": 6}, "model": None, "context": [],
}  # fmt: skip


def _units(text: str, encoding: str) -> int:
    codec, n_bytes = _UNITS[encoding]
    return len(text.encode(codec)) // n_bytes


def _column(line: str, units: int, encoding: str) -> int:
    """The character in `line` that stands at a column counted in an encoding's units."""
    codec, n_bytes = _UNITS[encoding]
    return len(line.encode(codec)[: units * n_bytes].decode(codec, errors="ignore"))


class ScriptedServer:
    """Keeps the documents as the client describes them, and one lock around what is written."""

    def __init__(self, script: Mapping[str, object], log_path: Path, output: BinaryIO) -> None:
        self._texts = [str(text) for text in _list_of(script.get("texts"))]
        self._encoding = str(script.get("encoding", "utf-16"))
        self._delays_s = [float(str(delay)) for delay in _list_of(script.get("delays_s"))] or [0.0]
        self._answers = [str(answer) for answer in _list_of(script.get("answers"))] or ["texts"]
        self._from_cursor = bool(script.get("from_cursor"))
        self._menu_to_line_end = bool(script.get("menu_to_line_end"))
        self._n_items = int(str(script.get("n_items", 1)))
        self._n_items_on_request = int(str(script.get("n_items_on_request", self._n_items)))
        self._dies_at_starts = _list_of(script.get("dies_at_starts"))
        more_after_s = script.get("more_after_s")
        self._more_after_s = None if more_after_s is None else float(str(more_after_s))
        self._has_more = self._more_after_s is not None
        self._last_answered: object = None
        self._versions: dict[str, object] = {}
        self._silences = list(_list_of(script.get("silences")))
        self._log_path = log_path
        self._output = output
        self._lock = threading.Lock()
        self._documents: dict[str, str] = {}
        self._n_asked = 0

    def take(self, message: Mapping[str, object]) -> None:
        """Hear one message."""
        method, params = str(message.get("method", "reply")), message.get("params")
        entry: dict[str, object] = {"method": method, "params": params, "id": message.get("id")}
        if method == "textDocument/inlineCompletion":
            number, self._n_asked = self._n_asked, self._n_asked + 1
            result = self._suggest(params)
            entry |= {"line": self._line_at(params), "number": number}
            self._note(entry)
            self._answer_later(message, result, number)
            if result:
                self._last_answered = params
            if result and self._more_after_s is not None:
                timer = threading.Timer(self._more_after_s, self._send_more)
                timer.daemon = True
                timer.start()
                self._more_after_s = None
            return
        self._note(entry)
        self._edit(method, params)
        if "id" in message and method != "reply":
            self._send({"id": message["id"], "result": self._result_of(method, params)})
        if method == "initialized":
            note = {"kind": "Normal", "busy": False, "message": "scripted"}
            self._send({"method": "didChangeStatus", "params": note})

    def _result_of(self, method: str, params: object) -> object:
        match method:
            case "initialize":
                self._die_if_told()
                return {"capabilities": self._capabilities()}
            case "textDocument/completion":
                return self._complete(params)
            case "fimble/status":
                return {**_STATUS, "silences": self._silences}
            case "workspace/executeCommand":
                self._obey(params)
                return self._silences
            case "fimble/explain":
                return _WHY
            case _:
                return None

    def _obey(self, params: object) -> None:
        """Silence or wake the session, and say so, as the real server does."""
        match params:
            case {"command": "fimble.snooze", "arguments": [{"minutes": float() | int() as left}]}:
                silence = {"scope": "session", "name": "", "seconds_left": 60 * left}
                self._silences = [silence]
            case {"command": "fimble.snooze"}:
                self._silences = [{"scope": "session", "name": "", "seconds_left": None}]
            case {"command": "fimble.wake"}:
                self._silences = []
            case _:
                return
        note = {"silences": self._silences}
        self._send({"method": "fimble/didChangeSilences", "params": note})

    def _die_if_told(self) -> None:
        heard = self._log_path.read_text(encoding="utf-8")
        if heard.count('"method": "initialize"') - 1 in self._dies_at_starts:
            os._exit(1)

    def _capabilities(self) -> dict[str, object]:
        return {
            "positionEncoding": self._encoding,
            "textDocumentSync": {"openClose": True, "change": 2},
            "inlineCompletionProvider": {},
            "completionProvider": {"triggerCharacters": ["."]},
            "executeCommandProvider": {"commands": ["fimble.accepted"]},
        }

    def _edit(self, method: str, params: object) -> None:
        match params:
            case {"textDocument": {"uri": str(uri), "version": version}}:
                self._versions[uri] = version
        match method, params:
            case "textDocument/didOpen", {"textDocument": {"uri": str(uri), "text": str(text)}}:
                self._documents[uri] = text
            case "textDocument/didChange", {
                "textDocument": {"uri": str(uri)},
                "contentChanges": [*changes],
            }:
                for change in changes:
                    self._documents[uri] = self._changed(self._documents[uri], change)

    def _changed(self, text: str, change: object) -> str:
        match change:
            case {"range": {"start": start, "end": end}, "text": str(new_text)}:
                return (
                    text[: self._offset(text, start)] + new_text + text[self._offset(text, end) :]
                )
            case {"text": str(whole)}:
                return whole
            case _:
                raise AssertionError("a change without text")

    def _offset(self, text: str, position: object) -> int:
        match position:
            case {"line": int(row), "character": int(units)}:
                lines = text.split("\n")
                before = sum(len(line) + 1 for line in lines[:row])
                line = lines[row] if row < len(lines) else ""
                return before + _column(line, units, self._encoding)
            case _:
                raise AssertionError("a position without line and character")

    def _line_at(self, params: object) -> str:
        match params:
            case {"textDocument": {"uri": str(uri)}, "position": {"line": int(row)}}:
                return self._documents[uri].split("\n")[row].removesuffix("\r")
            case _:
                raise AssertionError("a request without a place")

    def _matching(self, params: object) -> tuple[int, int, int, list[str]]:
        """Row, first and last column of the text to replace, and the texts that fit."""
        match params:
            case {"position": {"line": int(row), "character": int(units)}}:
                line = self._line_at(params)
                cursor = _column(line, units, self._encoding)
                typed = line[:cursor].lstrip()
                fitting = [text for text in self._texts if typed and text.startswith(typed)]
                return row, cursor - len(typed), cursor, fitting
            case _:
                raise AssertionError("a request without a place")

    def _suggest(self, params: object) -> list[dict[str, object]]:
        row, first, cursor, fitting = self._matching(params)
        line = self._line_at(params)
        start = cursor if self._from_cursor else first
        n_items = self._n_items_on_request if _is_on_request(params) else self._n_items
        return [
            {
                "insertText": self._ready(text)[start - first :],
                "range": self._range(line, row, start, len(line)),
                "command": {"title": "", "command": "fimble.accepted", "arguments": [f"s{index}"]},
            }
            for index, text in enumerate(fitting[:n_items])
        ]

    def _ready(self, text: str) -> str:
        return text.split("\n")[0] if self._has_more else text

    def _send_more(self) -> None:
        self._has_more = False
        match self._last_answered:
            case {"textDocument": {"uri": str(uri)}}:
                document = {"uri": uri, "version": self._versions.get(uri)}
                [item, *_] = self._suggest(self._last_answered)
                note = {"textDocument": document, "id": "s0", "item": item}
                self._send({"method": "fimble/more", "params": note})

    def _complete(self, params: object) -> dict[str, object]:
        row, first, cursor, fitting = self._matching(params)
        line = self._line_at(params)
        end = len(line) if self._menu_to_line_end else cursor
        edit_range = self._range(line, row, first, end)
        return {
            "isIncomplete": False,
            "items": [
                {
                    "label": text.split("\n")[0],
                    "filterText": text,
                    "textEdit": {"range": edit_range, "newText": text},
                    "command": {"title": "", "command": "fimble.accepted", "arguments": ["menu"]},
                }
                for text in fitting
            ],
        }

    def _range(self, line: str, row: int, start: int, end: int) -> dict[str, dict[str, int]]:
        return {
            "start": {"line": row, "character": _units(line[:start], self._encoding)},
            "end": {"line": row, "character": _units(line[:end], self._encoding)},
        }

    def _answer_later(self, message: Mapping[str, object], result: object, number: int) -> None:
        delay_s = self._delays_s[min(number, len(self._delays_s) - 1)]
        reply: dict[str, object] = {"id": message["id"]}
        match self._answers[min(number, len(self._answers) - 1)]:
            case "null":
                reply["result"] = None
            case "empty":
                reply["result"] = {"items": []}
            case "error":
                reply["error"] = {"code": -32603, "message": "scripted to fail"}
            case _:
                reply["result"] = {"items": result}
        if delay_s == 0:
            self._send(reply)
            return
        timer = threading.Timer(delay_s, self._send, [reply])
        timer.daemon = True
        timer.start()

    def _send(self, message: Mapping[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self._lock:
            self._output.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self._output.flush()
        if "result" in message or "error" in message:
            self._note({"method": "answer", "id": message["id"]})

    def _note(self, entry: Mapping[str, object]) -> None:
        with self._lock, self._log_path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"process_id": os.getpid(), **entry}) + "\n")


def _is_on_request(params: object) -> bool:
    match params:
        case {"context": {"triggerKind": 1}}:
            return True
    return False


def _list_of(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _read_message(stream: BinaryIO) -> Mapping[str, object] | None:
    n_bytes = 0
    while header := stream.readline().strip():
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            n_bytes = int(value)
    if n_bytes == 0:
        return None
    message = json.loads(stream.read(n_bytes))
    assert isinstance(message, dict)
    return message


def main() -> None:
    """Serve until the client says `exit` or is gone."""
    script = json.loads(Path(os.environ["SCRIPTED_SERVER_SCRIPT"]).read_text(encoding="utf-8"))
    log_path = Path(os.environ["SCRIPTED_SERVER_LOG"])
    server = ScriptedServer(script, log_path, sys.stdout.buffer)
    while message := _read_message(sys.stdin.buffer):
        if message.get("method") == "exit":
            return
        server.take(message)


if __name__ == "__main__":
    main()
