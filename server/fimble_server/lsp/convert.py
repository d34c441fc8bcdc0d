"""LSP's types and ours, both ways. Pure functions; decides nothing and keeps nothing.

Ranges sent are on one line and hold the cursor; their columns count in the connection's unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lsprotocol import types

from fimble_server.completion.answer import Suggestion
from fimble_server.completion.plan import Trigger
from fimble_server.document.buffers import Buffer, Change, RangeEdit, WholeText
from fimble_server.document.positions import CharOffset, Position, PositionUnit

__all__ = [
    "ACCEPTED_COMMAND",
    "buffer_from_lsp",
    "changes_from_lsp",
    "choose_unit",
    "cursor_from_lsp",
    "inline_item_to_lsp",
    "menu_item_to_lsp",
    "range_to_lsp",
    "trigger_from_lsp",
]

MORE_METHOD = "fimble/more"
ACCEPTED_COMMAND = "fimble.accepted"
_LABEL_CHARS = 60


def choose_unit(capabilities: types.ClientCapabilities) -> PositionUnit:
    """The first unit that the client likes and we know; UTF-16 where it says nothing."""
    general = capabilities.general
    for encoding in (general and general.position_encodings) or ():
        if encoding in {unit.value for unit in PositionUnit}:
            return PositionUnit(encoding)
    return PositionUnit.UTF16


def buffer_from_lsp(document: types.TextDocumentItem) -> Buffer:
    """A newly opened document."""
    return Buffer(
        uri=document.uri,
        language_id=document.language_id,
        version=document.version,
        text=document.text,
    )


def changes_from_lsp(
    changes: Sequence[types.TextDocumentContentChangeEvent], unit: PositionUnit
) -> tuple[Change, ...]:
    """An editor's changes, in its order."""
    return tuple(_change_from_lsp(change, unit) for change in changes)


def _change_from_lsp(change: types.TextDocumentContentChangeEvent, unit: PositionUnit) -> Change:
    if isinstance(change, types.TextDocumentContentChangeWholeDocument):
        return WholeText(text=change.text)
    return RangeEdit(
        start=_position_from_lsp(change.range.start),
        end=_position_from_lsp(change.range.end),
        unit=unit,
        text=change.text,
    )


def cursor_from_lsp(buffer: Buffer, position: types.Position, unit: PositionUnit) -> CharOffset:
    """The cursor's character offset.

    With the cursor after the emoji of `a😀b`, LSP says character 3 in UTF-16; the offset is 2.
    """
    return buffer.offset_at(_position_from_lsp(position), unit)


def trigger_from_lsp(kind: types.InlineCompletionTriggerKind) -> Trigger:
    """How an inline completion was asked for."""
    if kind is types.InlineCompletionTriggerKind.Invoked:
        return Trigger.INVOKED
    return Trigger.AUTOMATIC


def wants(capabilities: types.ClientCapabilities, name: str) -> bool:
    """True where the client announced `experimental: {fimble: {NAME: true}}`."""
    match capabilities.experimental:
        case {"fimble": Mapping() as announced}:
            return announced.get(name) is True
        case _:
            return False


def more_to_lsp(suggestion: Suggestion, buffer: Buffer, unit: PositionUnit) -> dict[str, object]:
    """The parameters of `fimble/more`: an item that extends the one with the same id."""
    replaced = range_to_lsp(buffer, suggestion, unit)
    command = _accepted_command(suggestion)
    return {
        "textDocument": {"uri": buffer.uri, "version": buffer.version},
        "id": suggestion.suggestion_id,
        "item": {
            "insertText": suggestion.text,
            "range": {
                name: {"line": place.line, "character": place.character}
                for name, place in (("start", replaced.start), ("end", replaced.end))
            },
            "command": {
                "title": command.title,
                "command": command.command,
                "arguments": [suggestion.suggestion_id],
            },
        },
    }


def range_to_lsp(buffer: Buffer, suggestion: Suggestion, unit: PositionUnit) -> types.Range:
    """The range that a suggestion replaces."""
    return types.Range(
        start=_position_to_lsp(buffer.position_at(suggestion.start, unit)),
        end=_position_to_lsp(buffer.position_at(suggestion.end, unit)),
    )


def inline_item_to_lsp(
    suggestion: Suggestion, buffer: Buffer, unit: PositionUnit
) -> types.InlineCompletionItem:
    """Ghost text. The text is a plain string: as a snippet some clients ignore its range."""
    return types.InlineCompletionItem(
        insert_text=suggestion.text,
        range=range_to_lsp(buffer, suggestion, unit),
        command=_accepted_command(suggestion),
    )


def menu_item_to_lsp(
    suggestion: Suggestion, buffer: Buffer, unit: PositionUnit
) -> types.CompletionItem:
    """An entry of a completion menu.

    Menus match the word before the cursor against the filter text, and some only the range's
    own text, so the edit begins at that word and both hold it.
    """
    word_start = _word_start(buffer, suggestion.start)
    typed_word = buffer.text[word_start : suggestion.start]
    text = typed_word + suggestion.text
    edit_range = types.Range(
        start=_position_to_lsp(buffer.position_at(word_start, unit)),
        end=_position_to_lsp(buffer.position_at(suggestion.end, unit)),
    )
    tail = buffer.text[suggestion.start : suggestion.end]
    return types.CompletionItem(
        label=_label(text.removesuffix(tail) or text),
        kind=types.CompletionItemKind.Text,
        detail="Fimble",
        preselect=True,
        sort_text=" ",
        filter_text=text,
        insert_text_format=types.InsertTextFormat.PlainText,
        insert_text_mode=types.InsertTextMode.AsIs,
        insert_text=text,
        text_edit=types.TextEdit(range=edit_range, new_text=text),
        documentation=text if "\n" in text.strip("\n") else None,
        command=_accepted_command(suggestion),
    )


def _accepted_command(suggestion: Suggestion) -> types.Command:
    return types.Command(
        title="Completion accepted",
        command=ACCEPTED_COMMAND,
        arguments=[suggestion.suggestion_id],
    )


def _label(text: str) -> str:
    """The first line that has something on it, short enough for a menu."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [text.strip() or "⏎"]
    shown, is_whole = lines[0][:_LABEL_CHARS], len(lines) == 1 and len(lines[0]) <= _LABEL_CHARS
    return shown if is_whole else f"{shown}…"


def _word_start(buffer: Buffer, offset: int) -> int:
    line_start = buffer.line_start(buffer.line_at(offset))
    while offset > line_start and (
        buffer.text[offset - 1].isalnum() or buffer.text[offset - 1] == "_"
    ):
        offset -= 1
    return offset


def _position_from_lsp(position: types.Position) -> Position:
    return Position(position.line, position.character)


def _position_to_lsp(position: Position) -> types.Position:
    return types.Position(line=position.line, character=position.column)
