"""Who is told of every request and row that ends, where anybody is. Owns the protocol alone."""

from __future__ import annotations

from typing import Protocol

from fimble_model.engine.protocol import Finish
from fimble_server.completion.answer import Answer

__all__ = ["Watch"]


class Watch(Protocol):
    """Hears of ends. Quick, and never raises: both threads call it in the middle of their work."""

    def take_row(self, finish: Finish) -> None:
        """A row of the engine ended, whoever waited for it. Called on the engine's thread."""
        ...

    def take_request(self, outcome: str, answer: Answer | None) -> None:
        """A request was answered. Called on the event loop.

        `outcome` is one of "shown", "empty", "superseded", "cancelled", "unserved", "failed".
        """
        ...
