"""What `fimble/status` says of the process, its engine and its model, the same for every session.

Owns those names. Reads values that are there already: it waits for nothing and wakes no model.
"""

from __future__ import annotations

import os
import platform

from fimble_model.engine.protocol import ModelInfo
from fimble_server import __version__
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.memory_note import describe_memory
from fimble_server.lsp.status_note import StatusNote

__all__ = ["describe_engine"]


def describe_engine(thread: EngineThread, *, note: StatusNote, now_ms: float) -> dict[str, object]:
    """JSON-ready. `note` is what the client is told of it in one line."""
    status = thread.status
    return {
        "version": __version__,
        "python": platform.python_version(),
        "process_id": os.getpid(),
        "state": status.state.value,
        "state_for_s": round((now_ms - thread.status_since_ms) / 1000, 3),
        "memory": describe_memory(thread.holdings),
        **note.to_lsp(),
        "percent": None if status.progress is None else round(100 * status.progress.done),
        "model": None if status.model is None else _describe_model(status.model),
    }


def _describe_model(model: ModelInfo) -> dict[str, object]:
    return {
        "name": model.name,
        "device": model.device,
        "dtype": model.dtype,
        "n_parameters": model.n_parameters,
        "context_tokens": model.context_tokens,
        "back_end": model.back_end.value,
        "sends_text_to": model.sends_text_to,
    }
