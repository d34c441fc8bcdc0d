"""The requests that typing a file makes: what an engine is asked at each key.

Owns the recording. The server's own completer lays each prompt out; nothing is generated, so
every key asks, which is the most that an engine can be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fimble_eval.typing_replay import keystrokes_of, plan_spots
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import Engine, Finish, FinishReason, ModelInfo, Request
from fimble_server.commandline.target import read_source
from fimble_server.completion.completer import Completer
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.completion.plan import Limits
from fimble_server.completion.project_texts import ProjectTexts
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer, TextEdit
from fimble_server.document.languages import language_for_path
from fimble_server.document.positions import CharOffset
from fimble_server.lsp.open_buffers import OpenBuffers

__all__ = ["RecordedKey", "own_sources", "record_keys"]

# A row that was cancelled teaches the completer nothing: it asks again at the next key.
_NOTHING = Finish(
    reason=FinishReason.CANCELLED,
    text="",
    tokens=(),
    n_prompt_tokens=0,
    n_reused_tokens=0,
    queue_ms=0.0,
    prefill_ms=0.0,
    decode_ms=0.0,
)


def own_sources(n_files: int) -> list[Path]:
    """The longest files of Fimble's own server, for real text that is at hand everywhere."""
    import fimble_server

    folder = Path(fimble_server.__file__).parent
    paths = sorted(folder.rglob("*.py"), key=lambda path: (-path.stat().st_size, path.name))
    return paths[:n_files]


class RecordedKey(NamedTuple):
    """One key's request, and the texts that the engine's memory is fed before it."""

    request: Request
    texts: ProjectTexts | None


class _RecordingPort:
    """Implements `EnginePort` with an engine that is asked for its codec alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.keys: list[RecordedKey] = []

    @property
    def model(self) -> ModelInfo:
        return self._engine.model

    async def generate(self, job: Job) -> Generation | None:
        requests = job.build(self._engine.codec, self._engine.model)
        self.keys += [RecordedKey(request, job.texts) for request in requests[:1]]
        return Generation(finishes=(_NOTHING,) * len(requests), model=self._engine.model)


def record_keys(
    engine: Engine, paths: Sequence[Path], *, n_spots: int, n_chars: int
) -> list[list[RecordedKey]]:
    """For each spot of each file its keys in the order they are typed; all files are open."""
    return asyncio.run(_record(engine, paths, n_spots=n_spots, n_chars=n_chars))


async def _record(
    engine: Engine, paths: Sequence[Path], *, n_spots: int, n_chars: int
) -> list[list[RecordedKey]]:
    recorded: list[list[RecordedKey]] = []
    buffers = OpenBuffers()
    for path in paths:
        language_id = language_for_path(path.name).language_id
        text = read_source(path)
        buffers.open(Buffer(uri=path.as_uri(), language_id=language_id, version=0, text=text))
    for path in paths:
        port, clock = _RecordingPort(engine), SystemClock()
        completer = Completer(port=port, clock=clock)
        uri, text = path.as_uri(), read_source(path)
        for spot in plan_spots(text, n_spots=n_spots, n_chars=n_chars):
            port.keys.clear()
            _edit(buffers, uri, spot.start, spot.start + len(spot.text), "")
            for key in keystrokes_of(spot):
                _edit(buffers, uri, key.offset, key.offset, key.inserted)
                opened = buffers.find(uri)
                assert opened is not None
                snapshot = Snapshot(
                    owner=uri,
                    buffer=opened.buffer,
                    cursor=CharOffset(key.offset + len(key.inserted)),
                    history=opened.history,
                    path=path.name,
                    neighbours=tuple(other.buffer for other in buffers.others(uri).values()),
                    memory_scope="typist",
                )
                await completer.complete(snapshot, Limits())
            recorded.append([*port.keys])
    return recorded


def _edit(buffers: OpenBuffers, uri: str, start: int, end: int, inserted: str) -> None:
    edit = TextEdit(start=CharOffset(start), end=CharOffset(end), text=inserted)
    buffers.change(uri, [edit], version=1, now_ms=SystemClock().now_ms())
