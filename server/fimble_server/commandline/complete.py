"""`fimble complete`: the answers that an editor would get at some cursors, in a terminal.

Owns the order of the work: read every target first, load the model once, ask, print. The
completer is the editors' own; only the way to the engine is shorter.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.memories import pays_for
from fimble_model.engine.protocol import Engine
from fimble_server.commandline.answer_json import answer_to_json
from fimble_server.commandline.ghost import draw_answer, draw_explanation
from fimble_server.commandline.project import KnownProject, know_project
from fimble_server.commandline.target import Target, cursor_of, parse_target, read_source
from fimble_server.completion.completer import Completer
from fimble_server.completion.inline_port import InlinePort
from fimble_server.completion.plan import Trigger
from fimble_server.completion.snapshot import Snapshot
from fimble_server.context.project_files import find_root
from fimble_server.context.secret_files import find_secrecy
from fimble_server.context.token_store import find_tokenizer_folder
from fimble_server.document.buffers import Buffer
from fimble_server.document.languages import language_for_path
from fimble_server.errors import FimbleError
from fimble_server.model_engine import build_engine
from fimble_server.settings import ModelSettings, Settings, limits_from, sources_without

__all__ = ["CompleteOptions", "complete_targets"]

# A terminal shows no stale answer: it waits for the whole of it.
_PATIENCE_MS = 60_000.0
_SCOPE = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOptions:
    """What was asked for. `is_invoked` asks as a user who pressed the key for it."""

    as_json: bool
    explain: bool
    n_candidates: int
    is_invoked: bool


def complete_targets(
    arguments: Sequence[str],
    *,
    options: CompleteOptions,
    settings: Settings,
    console: Console,
    cache: Path | None = None,
) -> None:
    """Complete at each FILE:LINE:COLUMN in turn. Raises `FimbleError` before it loads anything.

    `cache` is the user's folder of project indices; with None no project is read.
    """
    snapshots = [_snapshot_of(parse_target(each), options, settings) for each in arguments]
    started_s = time.perf_counter()
    engine = _load(settings.model)
    load_ms = (time.perf_counter() - started_s) * 1000
    if cache is not None and settings.context.project:
        snapshots = _in_projects(snapshots, engine, settings, cache)
    clock = SystemClock()
    completer = Completer(port=InlinePort(engine=engine, clock=clock), clock=clock)
    limits = dataclasses.replace(
        limits_from(settings.completion),
        acceleration_deadline_ms=_PATIENCE_MS,
        exploration_deadline_ms=_PATIENCE_MS,
    )
    for argument, snapshot in zip(arguments, snapshots, strict=True):
        answer = asyncio.run(completer.complete(snapshot, limits))
        assert answer is not None, "nothing replaces a request of the terminal"
        if options.as_json:
            line = answer_to_json(answer, buffer=snapshot.buffer, load_ms=load_ms)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            continue
        console.print(draw_answer(answer, snapshot=snapshot, where=argument))
        if options.explain:
            console.print(draw_explanation(answer))


def _in_projects(
    snapshots: Sequence[Snapshot], engine: Engine, settings: Settings, cache: Path
) -> list[Snapshot]:
    """The snapshots with their projects known, and the engine's memory of these."""
    wants_tokens = pays_for(engine.model.n_parameters)
    model_folder = find_tokenizer_folder(settings.model.name) if wants_tokens else None
    projects: dict[Path, KnownProject | None] = {}
    placed: list[Snapshot] = []
    for snapshot in snapshots:
        path = Path(unquote(snapshot.buffer.uri.removeprefix("file://")))
        root = find_root(path)
        if root not in projects:
            projects[root] = know_project(
                path,
                cache=cache,
                model_folder=model_folder,
                secret_names=settings.context.secret_files,
            )
        project = projects[root]
        place = None if project is None or not settings.context.pieces else project.place_of(path)
        placed.append(dataclasses.replace(snapshot, project=place))
    known = [project for project in projects.values() if project is not None]
    engine.take_stored(_SCOPE, [folder for each in known for folder in each.token_folders])
    return placed


def _snapshot_of(target: Target, options: CompleteOptions, settings: Settings) -> Snapshot:
    path = target.path.absolute()
    secrecy = find_secrecy(str(path), settings.context.secret_files)
    if secrecy is not None:
        raise FimbleError(
            expected="a file that may be shown to the model",
            found=f"{target.path}: {secrecy}",
            to_do="Name another file; Fimble never reads such ones.",
        )
    buffer = Buffer(
        uri=path.as_uri(),
        language_id=language_for_path(path.name).language_id,
        version=0,
        text=read_source(path),
    )
    return Snapshot(
        owner=buffer.uri,
        buffer=buffer,
        cursor=cursor_of(target, buffer),
        trigger=Trigger.INVOKED if options.is_invoked else Trigger.AUTOMATIC,
        n_candidates=options.n_candidates,
        path=str(target.path),
        memory_scope=_SCOPE,
        without_sources=sources_without(settings.context),
    )


def _load(settings: ModelSettings) -> Engine:
    """The engine, with the progress of loading it on stderr where somebody looks."""
    notes = Console(stderr=True)
    with notes.status("loading the model", spinner="dots") as status:
        return build_engine(settings, lambda progress: status.update(progress.message))
