"""What a session knows of its user's looks: the order of files, diagnostics, and secret names."""

from __future__ import annotations

import pytest
from pygls.exceptions import JsonRpcInvalidParams

from fimble_server.context.diagnosed import Diagnostic
from fimble_server.document.buffers import Buffer, TextEdit
from fimble_server.lsp.attention import Attention, diagnostics_from_lsp, last_edited
from fimble_server.lsp.open_buffers import OpenBuffer, OpenBuffers
from fimble_server.lsp.quiet import find_settled_silence
from fimble_server.settings import ContextSettings, Settings


def _buffers(*names: str) -> OpenBuffers:
    buffers = OpenBuffers()
    for name in names:
        uri = f"file:///{name}"
        buffers.open(Buffer(uri=uri, language_id="python", version=0, text="x\n"))
    return buffers


def test_files_are_in_the_order_in_which_they_were_looked_at() -> None:
    buffers, attention = _buffers("a.py", "b.py", "c.py"), Attention()
    for name in ("c.py", "b.py", "c.py", "gone.py"):
        attention.note_viewed(f"file:///{name}")
    ordered = attention.by_viewing(buffers.others("file:///none"))
    assert [each.buffer.uri[8:] for each in ordered] == ["a.py", "b.py", "c.py"]
    assert attention.viewed()[-1] == "file:///gone.py"


def test_only_edited_files_count_as_edited_the_last_one_last() -> None:
    buffers = _buffers("a.py", "b.py", "c.py")
    for at_ms, name in ((2.0, "a.py"), (1.0, "c.py")):
        edit = TextEdit(start=0, end=0, text="y")
        buffers.change(f"file:///{name}", [edit], version=1, now_ms=at_ms)
    edited = last_edited(tuple(buffers.others("file:///none").values()))
    assert [each.buffer.uri[8:] for each in edited] == ["c.py", "a.py"]


def test_diagnostics_are_taken_as_editors_have_them_and_replaced_whole() -> None:
    entry = {"range": {"start": {"line": 3, "character": 1}}, "message": 'no name "tax_rate"'}
    uri, found = diagnostics_from_lsp({"uri": "file:///a%20b", "diagnostics": [entry, {}]})
    assert found == (Diagnostic(3, 'no name "tax_rate"'),)
    attention = Attention()
    attention.take_diagnostics(uri, found)
    assert attention.names_at("file:///a b", 4) == ("tax_rate",)
    attention.take_diagnostics(uri, ())
    assert attention.names_at("file:///a b", 4) == ()
    with pytest.raises(JsonRpcInvalidParams):
        diagnostics_from_lsp({"uri": 1})


@pytest.mark.parametrize(
    ("name", "is_silent"), [("plans.vault", True), ("private/a.py", True), ("a.py", False)]
)
def test_the_user_s_own_names_of_secret_files_add_to_those_that_always_hold(
    name: str, is_silent: bool
) -> None:
    settings = Settings(context=ContextSettings(secret_files=("*.vault", "private/*")))
    for each, expected in ((name, is_silent), (".env", True)):
        buffer = Buffer(uri=f"file:///shop/{each}", language_id="python", version=0, text="")
        silence = find_settled_silence(OpenBuffer(buffer=buffer), settings)
        assert (silence is not None) is expected
