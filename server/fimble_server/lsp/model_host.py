"""Which model the engine's thread runs, for all sessions of the process.

Owns the model settings that were asked for last. Knows the loader only as a function; nothing
here imports torch, and loading starts when a client is ready, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from fimble_model.engine.protocol import Engine
from fimble_server.errors import SettingsError
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.model_engine import build_engine
from fimble_server.settings import ModelSettings

__all__ = ["LoadModel", "ModelHost", "load_model"]

log = logging.getLogger(__name__)

LoadModel = Callable[[ModelSettings, ReportProgress], Engine]


def load_model(settings: ModelSettings, report: ReportProgress) -> Engine:
    """Load the model the settings name. Runs on the engine's thread: it imports torch."""
    return build_engine(settings, report)


class ModelHost:
    """Keeps the invariant that the thread loads what was asked for last, and loads it once.

    A shared host keeps the model it was started with: two editors that want different ones
    would otherwise reload it in turns.
    """

    def __init__(
        self, *, thread: EngineThread, settings: ModelSettings, load: LoadModel, is_shared: bool
    ) -> None:
        self.thread = thread
        self._settings = settings
        self._load = load
        self._is_shared = is_shared
        self._has_loaded = False

    def want(self, settings: ModelSettings) -> None:
        """A session's client is ready and its settings name this model.

        Raises `SettingsError` where the host is shared and runs another.
        """
        if self._is_shared and settings != self._settings:
            raise SettingsError(
                path="model",
                source="the editor's settings",
                expected=f"the model of this shared server ({self._settings.name})",
                found="other model settings",
                to_do="Start the server with them, or take them out of the editor's settings.",
            )
        if self._has_loaded and settings == self._settings:
            return
        self._settings, self._has_loaded = settings, True
        log.info("loading model=%s device=%s", settings.name, settings.device)
        self.thread.load(
            lambda report: self._load(settings, report),
            unload_after_idle_s=settings.unload_after_idle_s,
        )
