"""A whole replay: from a folder's files to what was typed, and to figures.

Owns the order of the work. One engine serves every replay of a run; each begins with nothing
remembered and nothing cached that another left.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimble_eval.replay.parts import without_healing
from fimble_eval.replay.person import Person, Policy
from fimble_eval.replay.places import Place, SourceFile, choose_files, places_in
from fimble_eval.replay.projects import Projects
from fimble_eval.replay.samples import Sample
from fimble_eval.replay.simulation import SimulatedClock, SimulatedPort
from fimble_eval.replay.typist import Desk, Typed, type_place
from fimble_eval.replay.written_before import WrittenBefore
from fimble_model.engine.protocol import Engine
from fimble_server.completion.completer import Completer
from fimble_server.completion.parts import COMPLETER_PARTS
from fimble_server.completion.plan import Limits
from fimble_server.context.sources import SOURCE_NAMES

__all__ = ["Course", "replay"]

_SCOPE = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is typed, by whom, and without which parts.

    At most `n_files` files and about `n_keys` characters in all; beside each, `n_neighbours`
    others of its package are open. A pass of the engine takes `ms_per_pass` of simulated time.
    """

    seed: int = 0
    policy: Policy = Policy.LINE
    n_files: int = 20
    n_keys: int = 4_000
    n_neighbours: int = 3
    ms_per_pass: float = 4.0
    limits: Limits = field(default_factory=Limits)
    without: frozenset[str] = frozenset()


def replay(
    sources: Sequence[SourceFile],
    engine: Engine,
    course: Course,
    *,
    clock: SimulatedClock,
    on_place: Callable[[int, int], None] = lambda done, total: None,
    on_generation: Callable[[Sample], None] | None = None,
    written: WrittenBefore | None = None,
    projects: Projects | None = None,
) -> tuple[Typed, ...]:
    """Type the course's places one after the other. `on_place(done, total)` after each.

    The packages are indexed `projects`, where they are given.

    `on_generation` hears of what the model wrote for each answer that it gave. `clock` is the
    engine's too: its deadlines are moments on it. What the engine wrote is shared through
    `written`, where there is one.
    """
    files = choose_files(sources, n_files=course.n_files, seed=course.seed)
    n_chars = max(1, course.n_keys // max(1, len(files)))
    places = [place for source in files for place in places_in(source, n_chars=n_chars)]
    desk = dataclasses.replace(
        _desk(engine, course, clock, written), on_generation=on_generation, projects=projects
    )
    return asyncio.run(_type_places(places, sources, engine, course, desk, written, on_place))


async def _type_places(
    places: Sequence[Place],
    sources: Sequence[SourceFile],
    engine: Engine,
    course: Course,
    desk: Desk,
    written: WrittenBefore | None,
    on_place: Callable[[int, int], None],
) -> tuple[Typed, ...]:
    typed = []
    for index, place in enumerate(places):
        neighbours = _neighbours_of(place.file, sources, course)
        engine.forget(_SCOPE)
        stored = _stored_for(place.file, desk, course)
        engine.take_stored(_SCOPE, stored)
        if written is not None:
            written.stored = tuple(map(str, stored))
        typed.append(await type_place(place, neighbours, desk))
        on_place(index + 1, len(places))
    return tuple(typed)


def _stored_for(file: SourceFile, desk: Desk, course: Course) -> tuple[Path, ...]:
    """The project's tokens, where the memory has them."""
    if desk.projects is None or {"memory", "project"} & course.without:
        return ()
    return desk.projects.project_of(file.package).token_folders


def _desk(
    engine: Engine, course: Course, clock: SimulatedClock, written: WrittenBefore | None
) -> Desk:
    port = SimulatedPort(
        engine=engine,
        clock=clock,
        ms_per_pass=course.ms_per_pass,
        change=without_healing if "healing" in course.without else None,
        written=written,
    )
    parts = course.without.intersection(COMPLETER_PARTS)
    return Desk(
        completer=Completer(port=port, clock=clock, looks_ahead=True, without=parts),
        port=port,
        clock=clock,
        person=Person(seed=course.seed, policy=course.policy),
        limits=dataclasses.replace(course.limits),
        memory_scope=None if "memory" in course.without else _SCOPE,
        has_pieces="pieces" not in course.without,
        without_sources=course.without.intersection(SOURCE_NAMES),
    )


def _neighbours_of(
    file: SourceFile, sources: Sequence[SourceFile], course: Course
) -> tuple[SourceFile, ...]:
    """The files of the same package and language that stand nearest by name."""
    others = [
        other
        for other in sources
        if other.package == file.package
        and other.language_id == file.language_id
        and other.name != file.name
    ]
    folder = file.name.rpartition("/")[0]
    others.sort(key=lambda other: (other.name.rpartition("/")[0] != folder, other.name))
    return tuple(others[: course.n_neighbours])
