"""Laws of the schedule: exact budgets, no row starves, no client is pushed aside."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.protocol import RequestId
from fimble_model.engine.scheduler import (
    MOST_PASSES_PASSED_OVER,
    PassLimits,
    RowDemand,
    Scheduler,
    Share,
)
from fimble_testing.simulated_rows import SimulatedEngine

pending = st.lists(st.tuples(st.integers(1, 600), st.integers(0, 9)), min_size=1, max_size=20)


def _running(rows: list[tuple[int, int]], max_tokens: int) -> tuple[Scheduler, list[RowDemand]]:
    scheduler = Scheduler(PassLimits(max_rows=len(rows), max_tokens=max_tokens))
    demands = []
    for index, (n_pending, n_drafts) in enumerate(rows):
        request_id = RequestId(str(index))
        scheduler.add(request_id, client=str(index % 3), owner="")
        scheduler.start(request_id)
        demands.append(RowDemand(request_id, n_pending, n_drafts if n_pending == 1 else 0))
    return scheduler, demands


@given(pending, st.integers(1, 300))
def test_a_pass_is_as_full_as_its_budget_and_no_fuller(
    rows: list[tuple[int, int]], budget: int
) -> None:
    scheduler, demands = _running(rows, budget)
    shares = scheduler.plan(demands)
    n_single = sum(n_pending == 1 for n_pending, _ in rows)
    n_wanted = sum(demand.n_pending_tokens + demand.n_draft_tokens for demand in demands)
    n_long = sum(demand.n_pending_tokens for demand in demands if demand.n_pending_tokens > 1)
    n_shared = sum(share.n_tokens for share in shares)
    assert len({share.request_id for share in shares}) == len(shares) > 0
    assert n_shared <= min(max(budget, n_single), n_wanted)
    assert n_shared >= min(budget, n_single + n_long)
    for share in shares:
        demand = demands[int(share.request_id)]
        assert 1 <= share.n_tokens <= demand.n_pending_tokens + demand.n_draft_tokens


@given(pending, st.integers(1, 300))
def test_a_decoding_row_advances_in_every_pass(rows: list[tuple[int, int]], budget: int) -> None:
    scheduler, demands = _running(rows, budget)
    advanced = {share.request_id for share in scheduler.plan(demands)}
    assert {d.request_id for d in demands if d.n_pending_tokens == 1} <= advanced


def test_the_newest_owner_of_a_client_is_computed_first_and_drafts_have_the_rest() -> None:
    scheduler = Scheduler(PassLimits(max_rows=8, max_tokens=260))
    for name in ("old", "decoding", "new", "new too"):
        scheduler.add(RequestId(name), client="one", owner=name.split()[0])
        scheduler.start(RequestId(name))
    demands = [
        RowDemand(RequestId("old"), 500),
        RowDemand(RequestId("decoding"), 1, 8),
        RowDemand(RequestId("new"), 200),
        RowDemand(RequestId("new too"), 30),
    ]
    assert scheduler.plan(demands) == (
        Share(RequestId("decoding"), 1),
        Share(RequestId("new"), 200),
        Share(RequestId("new too"), 30),
        Share(RequestId("old"), 29),
    )
    assert scheduler.plan([*demands[1:]])[0] == Share(RequestId("decoding"), 9)


def test_beside_a_stream_prompts_have_no_more_than_they_may() -> None:
    scheduler, demands = _running([(1, 3), (500, 0), (300, 0)], 256)
    shares = scheduler.plan(demands, 40)
    assert sum(share.n_tokens for share in shares) == 1 + 40 + 3
    (alone, *_) = scheduler.plan(demands[1:2], 40)
    assert alone.n_tokens == 256


def test_a_client_with_many_long_prompts_leaves_another_its_turn() -> None:
    scheduler = Scheduler(PassLimits(max_rows=16, max_tokens=64))
    demands = []
    for index in range(9):
        scheduler.add(RequestId(str(index)), client="many", owner=str(index))
        scheduler.start(RequestId(str(index)))
        demands.append(RowDemand(RequestId(str(index)), 2000))
    scheduler.add(RequestId("one"), client="other", owner="one")
    scheduler.start(RequestId("one"))
    demands.append(RowDemand(RequestId("one"), 2000))
    n_tokens: Counter[str] = Counter()
    for _ in range(10):
        for share in scheduler.plan(demands):
            n_tokens["one" if share.request_id == "one" else "many"] += share.n_tokens
    assert n_tokens == {"one": 320, "many": 320}


def test_places_go_to_the_client_with_the_fewest_rows_and_to_its_newest_owner() -> None:
    scheduler = Scheduler(PassLimits())
    for name, client in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")):
        scheduler.add(RequestId(name), client=client, owner=name)
    assert [candidate.request_id for candidate in scheduler.candidates()] == [
        "a3",
        "b2",
        "a2",
        "b1",
        "a1",
    ]
    scheduler.start(RequestId("a3"))
    assert next(scheduler.candidates()).request_id == "b2"


def test_of_one_owner_the_rows_go_in_the_order_they_were_added() -> None:
    """The candidates of one request: the greedy one is the first."""
    scheduler = Scheduler(PassLimits())
    for name in ("first", "second", "third"):
        scheduler.add(RequestId(name), client="a", owner="buffer")
    order = [candidate.request_id for candidate in scheduler.candidates()]
    assert order == ["first", "second", "third"]


def test_a_row_that_was_passed_over_for_long_goes_before_newer_ones() -> None:
    scheduler = Scheduler(PassLimits(max_rows=1, max_tokens=8))
    scheduler.add(RequestId("running"), client="a", owner="r")
    scheduler.start(RequestId("running"))
    scheduler.add(RequestId("old"), client="a", owner="old")
    for index in range(MOST_PASSES_PASSED_OVER):
        scheduler.add(RequestId(str(index)), client="a", owner=str(index))
        assert next(scheduler.candidates()).request_id == str(index)
        scheduler.plan([RowDemand(RequestId("running"), 1)])
    candidate = next(scheduler.candidates())
    assert candidate.request_id == "old"
    assert candidate.is_overdue


arrivals = st.tuples(
    st.just("add"), st.integers(1, 300), st.integers(1, 12), st.integers(0, 3), st.integers(0, 2)
)
actions = st.lists(
    st.one_of(
        arrivals,
        st.tuples(st.just("cancel"), st.integers(0, 8)),
        st.tuples(st.just("step"), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(actions=actions, max_rows=st.integers(1, 4), max_tokens=st.integers(1, 64))
def test_random_schedules_leak_no_place_and_finish_every_row_once(
    actions: list[tuple[str, int]], max_rows: int, max_tokens: int
) -> None:
    """Adds, cancels and steps in any order; then the rest is run to its end."""
    engine = SimulatedEngine(PassLimits(max_rows=max_rows, max_tokens=max_tokens))
    names = itertools.count()
    for action, *numbers in actions:
        if action == "add":
            n_prompt, n_new, client, owner = numbers
            engine.add(f"{next(names)}", n_prompt, n_new, client=f"{client}", owner=f"{owner}")
        elif action == "cancel":
            engine.cancel(f"{numbers[0]}")
        else:
            for _ in range(numbers[0]):
                engine.step()
        assert len(engine.running) <= max_rows
    n_tokens = sum(row.n_left for row in engine.live)
    n_passes = 0
    while engine.has_work:
        engine.step()
        n_passes += 1
        assert n_passes <= n_tokens + 1, "a pass went by in which nothing was computed"
    assert engine.scheduler.n_running == 0
    assert not list(engine.scheduler.candidates())
    assert sorted(engine.finished, key=int) == [str(index) for index in range(next(names))]
    assert set(engine.finished.values()) <= {1}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9),
    max_rows=st.integers(1, 4),
    max_tokens=st.integers(8, 64),
    clients=st.integers(1, 3),
)
def test_no_row_starves_however_many_newer_ones_come(
    seed: int, max_rows: int, max_tokens: int, clients: int
) -> None:
    """Newer rows arrive for ever, as fast as they can be served; the old one's wait is bounded."""
    engine = SimulatedEngine(PassLimits(max_rows=max_rows, max_tokens=max_tokens))
    engine.add("old", 40 + seed, 4, client="0", owner="old")
    for n_passes in range(3_000):
        if len(engine.live) < 3 * max_rows + 3:
            name = f"new {n_passes}"
            engine.add(name, 20, 3, client=f"{n_passes % clients}", owner=name)
        engine.step()
        if "old" in engine.finished:
            # Its turn came when it was overdue, and what ran before it ended.
            assert n_passes <= 3 * MOST_PASSES_PASSED_OVER
            return
    raise AssertionError("the old row starved")
