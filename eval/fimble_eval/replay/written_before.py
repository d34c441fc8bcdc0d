"""What the engine wrote for the same question in an earlier replay, so that it need not again.

Owns the questions' identity. An engine answers the same question with the same tokens (that is a
law with a test of its own), so replays that differ in a step after the engine share its work.
Figures of this machine's time are worth nothing for what comes from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fimble_model.engine.protocol import ModelInfo, Request, TextCodec
from fimble_server.completion.engine_port import Generation, Job

__all__ = ["Written", "WrittenBefore", "built_once"]

# Of rules without values of their own; what has some is a dataclass and says them.
_ADDRESS = re.compile(" at 0x[0-9a-f]+")
_MOST_WRITTEN = 60_000


class Written(NamedTuple):
    """A generation, and in how many passes it came."""

    generation: Generation
    n_passes: int


@dataclass(slots=True)
class WrittenBefore:
    """Keeps the invariant that a question is all that its answer depends on.

    That is the prompts and their bounds, and what the memory holds: what it was fed last, and
    what is `stored` for it.
    """

    stored: tuple[str, ...] = ()
    _found: dict[int, Written] = field(default_factory=dict)
    _fed: int = 0

    def question(self, job: Job, requests: tuple[Request, ...]) -> int:
        """The identity of what a job asks, with the memory as it then is."""
        if job.texts is not None:
            self._fed = hash(job.texts.texts)
        return hash(
            (
                self._fed,
                self.stored,
                *(
                    (
                        request.prompt,
                        request.max_new_tokens,
                        request.min_confidence,
                        request.memory_scope,
                        request.sampling,
                        _ADDRESS.sub("", repr(request.stop)),
                    )
                    for request in requests
                ),
            )
        )

    def find(self, question: int) -> Written | None:
        """What was written for it."""
        return self._found.get(question)

    def keep(self, question: int, written: Written) -> None:
        """For the next time."""
        if len(self._found) < _MOST_WRITTEN:
            self._found[question] = written


def built_once(
    requests: tuple[Request, ...],
) -> Callable[[TextCodec, ModelInfo], tuple[Request, ...]]:
    """A job's `build` whose work is done already."""

    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        del codec, model
        return requests

    return build
