"""Many typists on one engine, in simulated time: all are answered, and nobody waits much longer.

There is no model here: rows are numbers, passes take the time that two cores need for a small
network. What is tested is the schedule.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from fimble_model.engine.pass_costs import PassCosts
from fimble_model.engine.scheduler import PassLimits, choose_limits
from fimble_testing.simulated_rows import SimulatedEngine

N_KEYS = 45
LIMITS = choose_limits(n_parameters=3_000_000, is_on_cpu=True)


@dataclass
class _Replay:
    """Keys by time; a newer key of a typist replaces the row of the one before."""

    engine: SimulatedEngine = field(
        default_factory=lambda: SimulatedEngine(
            LIMITS, ms_a_pass=1.2, ms_a_token=0.12, costs=PassCosts()
        )
    )
    asked_ms: dict[str, float] = field(default_factory=dict)
    waits_ms: list[float] = field(default_factory=list)
    n_replaced: int = 0

    def run(self, keys: list[tuple[float, int, int]], chance: random.Random) -> None:
        """Serve all keys: (time, typist, number)."""
        heapq.heapify(keys)
        newest: dict[int, str] = {}
        while keys or self.engine.has_work:
            if keys and not self.engine.has_work:
                self.engine.now_ms = max(self.engine.now_ms, keys[0][0])
            while keys and keys[0][0] <= self.engine.now_ms:
                at_ms, typist, number = heapq.heappop(keys)
                self._replace(newest.get(typist))
                newest[typist] = name = f"{typist}.{number}"
                self.asked_ms[name] = at_ms
                # Most keys add a token or two; now and then one jumps elsewhere.
                n_prompt = chance.randint(300, 900) if number % 30 == 1 else chance.randint(1, 4)
                n_new = chance.randint(4, 12)
                self.engine.add(name, n_prompt, n_new, client=f"{typist}", owner="buffer")
            for name in self.engine.step():
                self.waits_ms.append(self.engine.now_ms - self.asked_ms.pop(name))

    def _replace(self, name: str | None) -> None:
        if name in self.asked_ms:
            self.engine.cancel(name)
            del self.asked_ms[name]
            self.n_replaced += 1

    def percentile_ms(self, percent: int) -> float:
        """The wait that `percent` of the answered keys do not exceed."""
        return sorted(self.waits_ms)[len(self.waits_ms) * percent // 100]


def _type(n_typists: int, seed: int) -> _Replay:
    chance = random.Random(seed)
    keys: list[tuple[float, int, int]] = []
    for typist in range(n_typists):
        at_ms = chance.uniform(0.0, 2_000.0)
        for number in range(N_KEYS):
            at_ms += chance.lognormvariate(5.0, 0.5)
            keys.append((at_ms, typist, number))
    replay = _Replay()
    replay.run(keys, chance)
    return replay


@pytest.mark.parametrize("seed", range(2))
def test_sixteen_typists_are_all_answered_and_wait_at_most_four_times_as_long(seed: int) -> None:
    alone, together = _type(1, seed), _type(16, seed)
    for replay, n_typists in ((alone, 1), (together, 16)):
        assert not replay.asked_ms, "a key was never answered"
        assert len(replay.waits_ms) + replay.n_replaced == n_typists * N_KEYS
    assert together.n_replaced < 0.15 * 16 * N_KEYS
    assert together.percentile_ms(95) <= 4 * alone.percentile_ms(95)


def test_a_long_prompt_delays_another_rows_next_token_by_one_chunk_at_most() -> None:
    engine = SimulatedEngine(PassLimits(max_rows=4, max_tokens=64), ms_a_pass=1.0, ms_a_token=0.5)
    engine.add("typing", 1, 25, client="a", owner="a")
    engine.step()
    engine.add("long", 2_000, 5, client="b", owner="b")
    row = engine.running["typing"]
    while "typing" in engine.running:
        n_left, started_ms = row.n_new, engine.now_ms
        engine.step()
        assert row.n_new == n_left - 1, "a pass went by without its token"
        assert engine.now_ms - started_ms <= 1.0 + 64 * 0.5
    assert "long" in engine.running


def test_a_short_request_does_not_wait_for_anothers_long_prompts() -> None:
    engine = SimulatedEngine(PassLimits(max_rows=16, max_tokens=64))
    for index in range(8):
        engine.add(f"long {index}", 2_000, 5, client="greedy", owner=f"{index}")
    engine.step()
    engine.add("short", 12, 3, client="modest", owner="buffer")
    n_passes = 0
    while "short" not in engine.finished:
        engine.step()
        n_passes += 1
    # A pass for its prompt, one for each further token.
    assert n_passes == 3
