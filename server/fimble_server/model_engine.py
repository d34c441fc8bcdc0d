"""From the user's model settings to the engine they mean.

Owns that one step, the same for the server, the terminal and the doctor. Called where the engine
is to live: it may import torch.
"""

from __future__ import annotations

from collections.abc import Callable

import fimble_model
from fimble_model import LoadProgress, Stated
from fimble_model.engine.protocol import Engine
from fimble_server.settings import ModelSettings

__all__ = ["build_engine"]


def build_engine(
    settings: ModelSettings, on_progress: Callable[[LoadProgress], None] | None = None
) -> Engine:
    """The engine, warm for the first key. Raises `FimbleError` where there is none to be had."""
    return fimble_model.load(
        settings.name,
        device=settings.device,
        dtype=settings.dtype,
        n_threads=settings.n_threads,
        cache_bytes=_to_bytes(settings.cache_mib),
        cap_bytes=_to_bytes(settings.memory_mib),
        stated=Stated(
            fim_family=settings.fim_family,
            fim_order=settings.fim_order,
            runs_code_of=settings.remote_code,
        ),
        on_progress=on_progress,
    )


def _to_bytes(n_mib: int | None) -> int | None:
    return None if n_mib is None else n_mib * 2**20
