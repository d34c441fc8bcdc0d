"""The one line an editor shows of us: ready, loading, thinking, paused, wrong.

Owns the choice among them. A pure function of values; sending it is `announcements`' work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fimble_server.errors import FimbleError
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.model_words import describe_model

__all__ = ["StatusKind", "StatusNote", "plan_status_note"]

StatusKind = Literal["Normal", "Warning", "Error", "Inactive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNote:
    """The parameters of `didChangeStatus`."""

    kind: StatusKind
    busy: bool
    message: str

    def to_lsp(self) -> dict[str, object]:
        """The note as it goes over the wire."""
        return {"kind": self.kind, "busy": self.busy, "message": self.message}


def plan_status_note(
    *,
    engine: EngineStatus,
    is_enabled: bool,
    settings_error: FimbleError | None,
    is_thinking: bool,
    silence: str | None = None,
) -> StatusNote:
    """The most pressing thing to say: a failed model, then a bad setting, then the rest."""
    if engine.error is not None:
        return StatusNote(kind="Error", busy=False, message=str(engine.error))
    is_loading = engine.state is EngineState.LOADING
    if settings_error is not None:
        return StatusNote(kind="Warning", busy=is_loading, message=str(settings_error))
    if not is_enabled:
        return StatusNote(kind="Inactive", busy=False, message="Fimble is off.")
    if silence is not None:
        return StatusNote(kind="Inactive", busy=False, message=silence)
    if is_loading:
        return StatusNote(kind="Normal", busy=True, message="Loading the model.")
    if engine.state is EngineState.UNLOADED:
        # NOTE: not busy and "Normal": for an editor it is as good as ready.
        words = "The model is unloaded; the next request loads it again."
        return StatusNote(kind="Normal", busy=False, message=words)
    if engine.model is None:
        return StatusNote(kind="Normal", busy=False, message="The model is not loaded yet.")
    return StatusNote(kind="Normal", busy=is_thinking, message=describe_model(engine.model))
