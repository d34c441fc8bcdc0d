"""Requests run to their ends, and the moments of their steps.

Owns the loop and the clock around it. Knows no shapes and no targets.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import NamedTuple

from fimble_model.engine.protocol import Engine, Finish, Prompt, Request, RequestId, TokenId
from fimble_model.engine.stopping import NeverStop

__all__ = ["Timed", "new_request", "random_ids", "run_timed"]


class Timed(NamedTuple):
    """What came of some requests. `step_ends_s` are seconds since the first was added.

    `step_cpu_s` is what each step took of this thread's time on a CPU.
    """

    finishes: list[Finish]
    step_ends_s: list[float]
    step_cpu_s: list[float]

    @property
    def n_tokens(self) -> int:
        """All tokens written."""
        return sum(len(finish.tokens) for finish in self.finishes)


def random_ids(n_tokens: int, n_ids: int, seed: int) -> list[int]:
    """Token ids from a seed; none of the first 64, where control tokens lie."""
    generator = random.Random(seed)  # Figures must be the same for the same seed.
    return [generator.randrange(64, n_ids) for _ in range(n_tokens)]


def new_request(
    name: str, prompt: Sequence[int], n_new_tokens: int, *, owner: str = "bench"
) -> Request:
    """A greedy request that ends after so many tokens."""
    return Request(
        request_id=RequestId(name),
        prompt=Prompt(token_ids=tuple(TokenId(each) for each in prompt)),
        max_new_tokens=n_new_tokens,
        stop=NeverStop(),
        owner=owner,
    )


def run_timed(engine: Engine, requests: Sequence[Request]) -> Timed:
    """Add all at once and step until each has ended."""
    started_s = time.perf_counter()
    for request in requests:
        engine.add(request)
    finishes, ends_s, cpu_s = [], [], []
    while engine.has_work:
        cpu_started_s = time.thread_time()
        deltas = engine.step()
        cpu_s.append(time.thread_time() - cpu_started_s)
        ends_s.append(time.perf_counter() - started_s)
        finishes += [delta.finish for delta in deltas if delta.finish is not None]
    return Timed(finishes, ends_s, cpu_s)
