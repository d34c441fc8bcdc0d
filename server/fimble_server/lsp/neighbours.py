"""Which open files of a session may be copied from. Owns that choice alone; pure."""

from __future__ import annotations

from fimble_server.lsp.attention import Attention
from fimble_server.lsp.open_buffers import OpenBuffer, OpenBuffers
from fimble_server.lsp.quiet import find_settled_silence
from fimble_server.settings import Settings

__all__ = ["find_neighbours", "find_silent"]

# Guessed: more files than anyone works in at a time; the event loop goes through them at a key.
_MOST_NEIGHBOURS = 32


def find_neighbours(
    uri: str, buffers: OpenBuffers, attention: Attention, settings: Settings
) -> tuple[OpenBuffer, ...]:
    """Other open files that the model may copy from, the one looked at last last."""
    if not settings.context.open_files:
        return ()
    others = attention.by_viewing(buffers.others(uri))[-_MOST_NEIGHBOURS:]
    return tuple(other for other in others if find_settled_silence(other, settings) is None)


def find_silent(buffers: OpenBuffers, settings: Settings) -> list[str]:
    """The decoded URIs of open files that the settings forbid to copy from."""
    every = buffers.others("").items()
    return [key for key, opened in every if find_settled_silence(opened, settings) is not None]
