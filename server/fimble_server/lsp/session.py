"""One client's session: what it told us, what it wants, what it has open.

Owns a connection's state from `initialize` to its end. Runs on the event loop; knows LSP types
but no sockets, and reaches the model only through the house that all sessions share.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from lsprotocol import types

from fimble_model.engine.memory_index import LOWER_PART
from fimble_model.engine.protocol import Clock
from fimble_server.completion.plan import Trigger
from fimble_server.completion.project_texts import ProjectTexts, try_text
from fimble_server.completion.snapshot import Snapshot
from fimble_server.context.token_store import find_tokenizer_folder
from fimble_server.document.positions import PositionUnit
from fimble_server.errors import SettingsError
from fimble_server.lsp import convert
from fimble_server.lsp.announcements import Announcements, ClientPort
from fimble_server.lsp.attention import Attention, diagnostics_from_lsp, last_edited
from fimble_server.lsp.engine_status import EngineStatus
from fimble_server.lsp.handed_out import HandedOut
from fimble_server.lsp.indexing_progress import IndexingProgress
from fimble_server.lsp.model_host import ModelHost
from fimble_server.lsp.neighbours import find_neighbours, find_silent
from fimble_server.lsp.notes import partial_acceptance_from_lsp, shown_id_from_lsp, uri_from_lsp
from fimble_server.lsp.open_buffers import OpenBuffers
from fimble_server.lsp.project_folders import can_watch_files, folders_from_lsp, watching_to_lsp
from fimble_server.lsp.project_indexing import ProjectIndexing
from fimble_server.lsp.quiet import Quiet, SharedSilences, find_settled_silence
from fimble_server.lsp.safe_logging import set_level
from fimble_server.lsp.status_answer import describe_engine
from fimble_server.lsp.suggesting import CompleterPort, Fitting, Suggesting
from fimble_server.lsp.watch import Watch
from fimble_server.settings import Settings, sources_without
from fimble_server.settings_layers import SettingsLayer, layer_from_editor, merge_settings

__all__ = ["Session", "SessionHouse"]

log = logging.getLogger(__name__)

# Guessed: as many as one cycles through before typing on.
_N_CANDIDATES = 3
# Their lines have no ends in memory: what they insert is split at line feeds alone, and a carriage
# return would stay in the text. They add it again where they write the file, or tell us of it.
_CLIENTS_WITHOUT_CARRIAGE_RETURNS = ("Neovim",)
# Ghost text and menu entries of one file do not replace each other: editors ask for both.
_METHODS = ("inline", "menu")
_session_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHouse:
    """What all sessions of a process share. `layers` are the settings below an editor's.

    `cache` is the user's folder for what can be made again; with None no project is indexed.
    """

    host: ModelHost
    build_completer: Callable[[], CompleterPort]
    layers: tuple[SettingsLayer, ...]
    clock: Clock
    watch: Watch | None = None
    cache: Path | None = None
    silences: SharedSilences = field(default_factory=SharedSilences)


class Session:
    """Keeps the invariant that settings are always a whole, valid tree: bad ones change nothing."""

    def __init__(self, *, house: SessionHouse, client: ClientPort) -> None:
        self._house = house
        self._number = next(_session_numbers)
        self._initial_layer = self._changed_layer = SettingsLayer(source="", values={})
        self._unit = PositionUnit.UTF16
        self._shows_progress = self._wants_line_feeds = self._wants_more = False
        self._client = client
        self._buffers = OpenBuffers()
        self._handed_out = HandedOut(self._buffers)
        self._attention = Attention()
        self._announcements = Announcements(client)
        self.quiet = Quiet(self._announcements, client, house.clock, house.silences)
        self._stop_listening = house.host.thread.listen(self._take_engine_status)
        self._indexing_progress = IndexingProgress(client)
        self._indexing = ProjectIndexing(
            cache=house.cache,
            find_model_folder=lambda: find_tokenizer_folder(self.settings.model.name),
            take_folders=lambda folders: house.host.thread.take_stored(self._memory_scope, folders),
            progress=self._indexing_progress,
        )
        self._watches_files = False
        self._suggesting = Suggesting(
            buffers=self._buffers,
            completer=house.build_completer(),
            announcements=self._announcements,
            watch=house.watch,
        )
        self.settings: Settings = merge_settings(house.layers)
        self.is_initialized = False
        self.started = asyncio.Event()

    def initialize(self, params: types.InitializeParams) -> None:
        """Learn who the client is and what it wants. Nothing is loaded yet."""
        self.is_initialized = True
        client, window = params.client_info, params.capabilities.window
        log.info(
            "editor name=%s version=%s",
            client.name if client else None,
            client.version if client else None,
        )
        self._wants_line_feeds = client is not None and (
            client.name in _CLIENTS_WITHOUT_CARRIAGE_RETURNS
        )
        self._shows_progress = bool(window and window.work_done_progress)
        self._unit = convert.choose_unit(params.capabilities)
        self._wants_more = convert.wants(params.capabilities, "more")
        self.quiet.tells_client = convert.wants(params.capabilities, "silences")
        self._indexing.change_folders(added=folders_from_lsp(params))
        self._watches_files = can_watch_files(params.capabilities)
        try:
            layer = layer_from_editor(params.initialization_options, source="initializationOptions")
            self._take_settings(initial=layer, changed=self._changed_layer)
        except SettingsError as error:
            self._refuse_settings(error)

    def start(self) -> None:
        """The client is ready: it may be spoken to, and the model may load."""
        self.started.set()
        self._want_model()
        self._announcements.take_engine_status(self._house.host.thread.status)
        self._announcements.start(shows_progress=self._shows_progress)
        self._indexing_progress.is_shown = self._shows_progress
        self._indexing.take_model(self._house.host.thread.model)
        if self._watches_files:
            self._client.send_request(types.CLIENT_REGISTER_CAPABILITY, watching_to_lsp())

    def end(self) -> None:
        """The client is gone, or about to go. Twice is harmless."""
        self._stop_listening()
        self.quiet.stop()
        self._suggesting.end()
        self._indexing.stop()
        self._house.host.thread.forget(self._memory_scope)

    def open(self, params: types.DidOpenTextDocumentParams) -> None:
        """A file was opened: what it says may be copied elsewhere, unless it is kept silent."""
        buffer = convert.buffer_from_lsp(params.text_document)
        self._buffers.open(buffer)
        self._attention.note_viewed(buffer.uri)
        self._indexing.note_opened(buffer.uri)
        text = try_text(buffer.uri, buffer.text)
        silence = find_settled_silence(self._buffers.find(buffer.uri), self.settings)
        if self.settings.context.open_files and text is not None and silence is None:
            self._house.host.thread.remember(ProjectTexts(scope=self._memory_scope, texts=(text,)))

    def change(self, params: types.DidChangeTextDocumentParams) -> None:
        """A file was edited."""
        document = params.text_document
        changes = convert.changes_from_lsp(params.content_changes, self._unit)
        self._attention.note_viewed(document.uri)
        if not self._buffers.change(
            document.uri, changes, version=document.version, now_ms=self._house.clock.now_ms()
        ):
            log.warning("a change of a file that is not open was ignored")

    def close(self, params: types.DidCloseTextDocumentParams) -> None:
        """A file was closed: its requests are nobody's any more."""
        for method in _METHODS:
            self._suggesting.forget(self._owner(method, params.text_document.uri))
        uri = params.text_document.uri
        self._buffers.close(uri)
        # What was not saved is gone; what the disk says counts again.
        for part in ("", LOWER_PART):
            self._house.host.thread.forget(self._memory_scope, unquote(uri) + part)
        self._indexing.note_changed([uri])

    def change_files(self, params: types.DidChangeWatchedFilesParams) -> None:
        """Files of the project were changed by whatever program."""
        self._indexing.note_changed([change.uri for change in params.changes])

    def change_folders(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        """The client's window shows other folders now."""
        event = params.event
        self._indexing.change_folders(
            added=[folder.uri for folder in event.added],
            removed=[folder.uri for folder in event.removed],
        )

    async def suggest_inline(
        self, params: types.InlineCompletionParams
    ) -> types.InlineCompletionList | None:
        """Ghost text for a cursor: an empty list for nothing, None for superseded."""
        context = params.context
        snapshot = self._snapshot(
            params.text_document.uri,
            params.position,
            method="inline",
            trigger=convert.trigger_from_lsp(context.trigger_kind),
            selected=context.selected_completion_info,
        )
        if snapshot is None:
            return types.InlineCompletionList(items=[])
        fitting = await self._answer(snapshot, self._tell_more if self._wants_more else None)
        if fitting is None:
            return None
        return types.InlineCompletionList(
            items=[
                convert.inline_item_to_lsp(suggestion, fitting.buffer, self._unit)
                for suggestion in fitting.suggestions
            ]
        )

    def _tell_more(self, fitting: Fitting) -> None:
        """The rest of a suggestion that ran out of time, under its old id: `fimble/more`."""
        for suggestion in fitting.suggestions[:1]:
            self._handed_out.add(fitting.buffer.uri, suggestion)
            fed = fitting.with_line_feeds() if self._wants_line_feeds else fitting
            self._client.notify(
                convert.MORE_METHOD,
                convert.more_to_lsp(fed.suggestions[0], fitting.buffer, self._unit),
            )

    async def suggest_menu(self, params: types.CompletionParams) -> types.CompletionList | None:
        """The same suggestions as entries of a completion menu, asked for anew at every key."""
        snapshot = self._snapshot(params.text_document.uri, params.position, method="menu")
        if snapshot is None:
            return types.CompletionList(is_incomplete=True, items=[])
        fitting = await self._answer(snapshot)
        if fitting is None:
            return None
        return types.CompletionList(
            is_incomplete=True,
            items=[
                convert.menu_item_to_lsp(suggestion, fitting.buffer, self._unit)
                for suggestion in fitting.suggestions
            ],
        )

    def _snapshot(
        self,
        uri: str,
        position: types.Position,
        *,
        method: str,
        trigger: Trigger = Trigger.AUTOMATIC,
        selected: types.SelectedCompletionInfo | None = None,
    ) -> Snapshot | None:
        """The request as a value, taken before anything is awaited; None where we stay silent."""
        opened = self._buffers.find(uri)
        silence = self.quiet.find_silence(opened, self.settings)
        if opened is None or silence is not None:
            return None
        neighbours = find_neighbours(uri, self._buffers, self._attention, self.settings)
        return Snapshot(
            owner=self._owner(method, uri),
            buffer=opened.buffer,
            cursor=convert.cursor_from_lsp(opened.buffer, position, self._unit),
            trigger=trigger,
            history=opened.history,
            selected_text=None if selected is None else selected.text,
            selected_start=None
            if selected is None
            else convert.cursor_from_lsp(opened.buffer, selected.range.start, self._unit),
            n_candidates=_N_CANDIDATES if trigger is Trigger.INVOKED else 1,
            path=unquote(opened.buffer.uri.partition("://")[2]),
            neighbours=tuple(other.buffer for other in neighbours),
            viewed=self._attention.viewed(),
            edited=last_edited(neighbours),
            diagnosed_names=self._attention.names_at(uri, position.line),
            without_sources=sources_without(self.settings.context),
            memory_scope=self._memory_scope,
            project=self._indexing.place_of(uri) if self.settings.context.pieces else None,
            client=str(self._number),
        )

    @property
    def _memory_scope(self) -> str:
        """The name of what this client has open, among all sessions."""
        return f"session {self._number}"

    def _owner(self, method: str, uri: str) -> str:
        """The name under which a file's requests replace each other, among all sessions."""
        return f"{self._number} {method} {unquote(uri)}"

    async def _answer(
        self, snapshot: Snapshot, on_more: Callable[[Fitting], None] | None = None
    ) -> Fitting | None:
        fitting = await self._suggesting.answer(snapshot, self.settings.completion, on_more)
        if fitting is None:
            return None
        for suggestion in fitting.suggestions:
            self._handed_out.add(snapshot.buffer.uri, suggestion)
        return fitting.with_line_feeds() if self._wants_line_feeds else fitting

    def change_settings(self, payload: object) -> None:
        """Take the editor's new settings, or keep the old ones and say why."""
        try:
            layer = layer_from_editor(payload, source="the editor's settings")
            self._take_settings(initial=self._initial_layer, changed=layer)
        except SettingsError as error:
            self._refuse_settings(error)
            return
        if self.started.is_set():
            self._want_model()

    def note_shown(self, params: object) -> None:
        """An item is on the screen."""
        self._handed_out.note_shown(shown_id_from_lsp(params))

    def note_partially_accepted(self, params: object) -> None:
        """A word or a line of an item was taken."""
        suggestion_id, n_utf16 = partial_acceptance_from_lsp(params)
        self._handed_out.note_partially_accepted(
            suggestion_id, n_utf16=n_utf16, now_ms=self._house.clock.now_ms()
        )

    def note_accepted(self, suggestion_id: str) -> None:
        """An item was taken whole."""
        self._handed_out.note_accepted(suggestion_id, now_ms=self._house.clock.now_ms())

    def note_focus(self, params: object) -> None:
        """The user looks at this file now."""
        self._attention.note_viewed(uri_from_lsp(params))

    def note_diagnostics(self, params: object) -> None:
        """The editor hands on what other tools say of a file."""
        self._attention.take_diagnostics(*diagnostics_from_lsp(params))

    def describe_status(self) -> dict[str, object]:
        """The answer to `fimble/status`."""
        now_ms = self._house.clock.now_ms()
        return {
            **describe_engine(
                self._house.host.thread, note=self._announcements.note, now_ms=now_ms
            ),
            "position_encoding": self._unit.value,
            "n_buffers": len(self._buffers),
            "n_requests": self._suggesting.n_requests,
            "silences": self.quiet.to_lsp(),
        }

    def explain(self, params: object) -> dict[str, object]:
        """The answer to `fimble/explain`: why the last request of a file ended as it did.

        `silence` says why nothing is asked for the file at all, and is null where something is.
        """
        uri = uri_from_lsp(params)
        error = self._house.host.thread.status.error
        opened = self._buffers.find(uri)
        silence = self.quiet.find_silence(opened, self.settings)
        silence = silence or (str(error) if error else None)
        found = (self._suggesting.explanation_of(self._owner(each, uri)) for each in _METHODS)
        explanation = next((each for each in found if each is not None), {})
        return {"silence": silence, **explanation}

    def _take_settings(self, *, initial: SettingsLayer, changed: SettingsLayer) -> None:
        """Make a new tree of all layers, or raise `SettingsError` and leave the old one."""
        self.settings = merge_settings((*self._house.layers, initial, changed))
        self._initial_layer, self._changed_layer = initial, changed
        set_level(self.settings.server.log_level)
        self._forget_silent_files()
        self._announcements.take_settings(is_enabled=self.settings.completion.enabled, error=None)
        context = self.settings.context
        self._indexing.want(context.project, context.secret_files)

    def _forget_silent_files(self) -> None:
        """What the settings forbid to copy from is in nobody's memory."""
        for key in find_silent(self._buffers, self.settings):
            for part in ("", LOWER_PART):
                self._house.host.thread.forget(self._memory_scope, key + part)

    def _take_engine_status(self, status: EngineStatus) -> None:
        self._announcements.take_engine_status(status)
        if self.started.is_set():
            self._indexing.take_model(status.model)

    def _want_model(self) -> None:
        try:
            self._house.host.want(self.settings.model)
        except SettingsError as error:
            self._refuse_settings(error)

    def _refuse_settings(self, error: SettingsError) -> None:
        self._announcements.take_settings(is_enabled=self.settings.completion.enabled, error=error)
