"""Rows without a model: numbers of tokens that a real schedule is applied to.

A step takes `ms_a_pass + ms_a_token * n_tokens` of simulated time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fimble_model.engine.pass_costs import PassCosts
from fimble_model.engine.protocol import RequestId
from fimble_model.engine.scheduler import PassLimits, RowDemand, Scheduler

__all__ = ["SimulatedEngine", "SimulatedRow"]


@dataclass(slots=True)
class SimulatedRow:
    """A row that has `n_prompt` tokens to prefill, the last giving the first of `n_new`."""

    n_prompt: int
    n_new: int

    @property
    def n_left(self) -> int:
        """Tokens that still go through a pass."""
        return self.n_prompt + self.n_new

    def advance(self, n_tokens: int) -> None:
        """Compute some; the last of the prompt's writes the first new one."""
        if self.n_prompt:
            self.n_prompt -= n_tokens
            self.n_new -= not self.n_prompt
        else:
            self.n_new -= 1


class SimulatedEngine:
    """What `NativeEngine` does with a schedule, without tokens, texts or slots."""

    def __init__(
        self,
        limits: PassLimits,
        *,
        ms_a_pass: float = 1.0,
        ms_a_token: float = 0.1,
        costs: PassCosts | None = None,
    ) -> None:
        self.scheduler = Scheduler(limits)
        self.now_ms = 0.0
        self.finished: Counter[str] = Counter()
        self.running: dict[str, SimulatedRow] = {}
        self._waiting: dict[str, SimulatedRow] = {}
        self._ms_a_pass, self._ms_a_token = ms_a_pass, ms_a_token
        self._costs = costs

    @property
    def live(self) -> tuple[SimulatedRow, ...]:
        """Rows that are not finished."""
        return (*self._waiting.values(), *self.running.values())

    @property
    def has_work(self) -> bool:
        """True while a row waits or runs."""
        return bool(self.live)

    def add(self, name: str, n_prompt: int, n_new: int, *, client: str, owner: str) -> None:
        """A new row."""
        self._waiting[name] = SimulatedRow(n_prompt, n_new)
        self.scheduler.add(RequestId(name), client=client, owner=owner)

    def cancel(self, name: str) -> None:
        """End a row at once; a name that is not live is ignored."""
        if name in self._waiting or name in self.running:
            self._end(name)

    def step(self) -> tuple[str, ...]:
        """One pass; the rows that it finished."""
        for candidate in self.scheduler.candidates():
            if len(self.running) >= self.scheduler.limits.max_rows:
                break
            self.running[candidate.request_id] = self._waiting.pop(candidate.request_id)
            self.scheduler.start(candidate.request_id)
        demands = [
            RowDemand(RequestId(name), max(row.n_prompt, 1)) for name, row in self.running.items()
        ]
        shares = self.scheduler.plan(demands, self._n_beside_tokens())
        for share in shares:
            self.running[share.request_id].advance(share.n_tokens)
        if shares:
            n_tokens = sum(share.n_tokens for share in shares)
            pass_ms = self._ms_a_pass + self._ms_a_token * n_tokens
            self.now_ms += pass_ms
            if self._costs is not None:
                self._costs.note(n_tokens, pass_ms)
        ended = tuple(name for name, row in self.running.items() if row.n_new <= 0)
        for name in ended:
            self._end(name)
        return ended

    def _n_beside_tokens(self) -> int | None:
        if self._costs is None:
            return None
        n_decoding = sum(row.n_prompt <= 1 for row in self.running.values())
        return self._costs.n_tokens_beside(n_decoding)

    def _end(self, name: str) -> None:
        self._waiting.pop(name, None)
        self.running.pop(name, None)
        self.scheduler.remove(RequestId(name))
        self.finished[name] += 1
