"""The completer's way to the engine, whoever owns it: a thread behind it, or the caller itself.

Owns the protocol and the job's values. Never knows threads, LSP or torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fimble_model.engine.protocol import Finish, ModelInfo, Request, RequestId, TextCodec
from fimble_server.completion.project_texts import ProjectTexts

__all__ = ["EnginePort", "Generation", "Job", "may_begin", "replaces", "stamp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work for the engine, one row or several candidates, for one buffer of one client.

    `owner` names client and buffer: a newer job of the same owner replaces an older one. The
    engine's time is shared out fairly among `client`s. `build` runs where the engine runs,
    because it tokenizes; before it, the engine is fed `texts`, if there are any. When
    `deadline_ms` have passed since the job was handed in, its rows end as DEADLINE and come
    back with what they have. `on_progress` is called on the event loop with each row's text so
    far, which may be longer than what the stop rule keeps in the end.

    A job that `is_ahead` is done while nobody waits: it does not begin where another job runs,
    and the next job of anybody that is not ahead replaces it.
    """

    owner: str
    build: Callable[[TextCodec, ModelInfo], tuple[Request, ...]]
    deadline_ms: float
    texts: ProjectTexts | None = None
    client: str = ""
    is_ahead: bool = False
    on_progress: Callable[[tuple[str, ...]], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How each row of a job ended, in the order of its requests."""

    finishes: tuple[Finish, ...]
    model: ModelInfo


def may_begin(job: Job, running: Iterable[Job]) -> bool:
    """False for a job that is ahead, while somebody waits for another."""
    return not job.is_ahead or all(other.is_ahead for other in running)


def replaces(job: Job, older: Job) -> bool:
    """True where the older job is nobody's any more once this one is there."""
    return job.owner == older.owner or (older.is_ahead and not job.is_ahead)


def stamp(
    job: Job, requests: tuple[Request, ...], *, number: int, deadline_at_ms: float
) -> tuple[Request, ...]:
    """A job's requests as the engine is to see them: whose they are, and until when.

    They get ids of our own: two clients may well choose the same.
    """
    return tuple(
        dataclasses.replace(
            request,
            request_id=RequestId(f"{number}.{row_index}"),
            client=job.client,
            owner=job.owner,
            deadline_ms=deadline_at_ms,
        )
        for row_index, request in enumerate(requests)
    )


class EnginePort(Protocol):
    """Hands jobs to an engine. Its methods are called on the event loop only."""

    @property
    def model(self) -> ModelInfo | None:
        """What is loaded; None while it loads or after it failed to."""
        ...

    async def generate(self, job: Job) -> Generation | None:
        """Run a job to its end. None when a newer job replaced it.

        Cancelling the awaiting task frees the rows within one step. Raises `FimbleError` where
        the model could not be loaded or the request was refused.
        """
        ...
