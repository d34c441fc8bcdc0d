"""What may be said of the engine from outside its thread: its state, its model, its fault.

Owns values only. A status never changes in place: a new one replaces it on the event loop.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fimble_model import LoadProgress
from fimble_model.engine.protocol import ModelInfo
from fimble_server.errors import FimbleError

__all__ = ["EngineState", "EngineStatus"]


class EngineState(enum.Enum):
    """Where an engine stands between being asked for and being stopped."""

    NOT_STARTED = "not started"
    LOADING = "loading"
    READY = "ready"
    UNLOADED = "unloaded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """`model` is there when READY, `error` when FAILED; `progress` may be while LOADING.

    UNLOADED is a model that nobody asked for long: the next request loads it again, and `model`
    says which that is.
    """

    state: EngineState = EngineState.NOT_STARTED
    model: ModelInfo | None = None
    error: FimbleError | None = None
    progress: LoadProgress | None = None
