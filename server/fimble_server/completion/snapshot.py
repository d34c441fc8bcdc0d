"""One request as a value: which buffer, where, how it came about, what happened before.

Owns what is taken from an editor (or a terminal) before anything is awaited. Never knows LSP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fimble_server.completion.plan import Trigger
from fimble_server.context.sources import Sources
from fimble_server.document.buffers import Buffer
from fimble_server.document.history import History
from fimble_server.document.positions import CharOffset

__all__ = ["EditedBuffer", "ProjectPlace", "Snapshot"]


class EditedBuffer(NamedTuple):
    """Another buffer as it is now, and what was done to it."""

    buffer: Buffer
    history: History


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
    `neighbours` are other buffers that the model may copy from, the one looked at last last, and
    `memory_scope` names whose texts they are; None where nothing is to be remembered. `project`
    is None where pieces of the project are not to be shown.
    `viewed` are decoded URIs of files looked at before, open or not, the last one last; `edited`
    those of the other buffers that were edited, the last one last; `diagnosed_names` what
    diagnostics near the cursor speak of. `without_sources` names what is turned off.
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
    viewed: tuple[str, ...] = ()
    edited: tuple[EditedBuffer, ...] = ()
    diagnosed_names: tuple[str, ...] = ()
    without_sources: Sources = frozenset()
    client: str = ""
