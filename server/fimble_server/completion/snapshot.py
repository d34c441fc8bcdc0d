"""One request as a value: which buffer, where, how it came about, what happened before.

Owns what is taken from an editor (or a terminal) before anything is awaited. Never knows LSP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fimble_server.completion.plan import Trigger
from fimble_server.document.buffers import Buffer
from fimble_server.document.history import History
from fimble_server.document.positions import CharOffset

__all__ = ["ProjectPlace", "Snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlace:
    """Where a buffer stands: the project's name, the path below it, and the project's index."""

    name: str
    path: str
    index: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a completion is made from. `owner` names client and buffer; `path` is for display.

    `client` is who asks, of all that share the engine.
    `neighbours` are other buffers that the model may copy from, and `memory_scope` names whose
    texts they are; None where nothing is to be remembered. `project` is None where pieces of the
    project are not to be shown.
    `cursor` is a character offset: in `😀<|>` it is 1. Where the editor's suggest list has an
    item selected, `selected_text` is what that item would put in place of the text from
    `selected_start` (the cursor, if None) to the cursor: a suggestion then begins with it.
    """

    owner: str
    buffer: Buffer
    cursor: CharOffset
    trigger: Trigger = Trigger.AUTOMATIC
    history: History = field(default_factory=History)
    selected_text: str | None = None
    selected_start: CharOffset | None = None
    n_candidates: int = 1
    path: str = ""
    neighbours: tuple[Buffer, ...] = ()
    memory_scope: str | None = None
    project: ProjectPlace | None = None
    client: str = ""
