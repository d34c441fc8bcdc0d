"""Laws of sharing a card: others get their floor, and what failed costs pages, not answers."""

from __future__ import annotations

import dataclasses
import gc
import logging
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.kv_cache import KvLayout
from fimble_model.engine.protocol import FinishReason, Request
from fimble_model.gpu import pool, prefill, runner, steps
from fimble_model.gpu.card import GraphMemory
from fimble_model.gpu.manners import Manners, plan_pool_bytes
from fimble_model.gpu.static_batch import BatchShape
from fimble_testing.clocks import ManualClock
from fimble_testing.gpu_on_host import GraphCard, build_gpu_engine, build_gpu_parts
from fimble_testing.tiny_engines import build_engine, build_request, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

LAYOUT = KvLayout(
    n_layers=2,
    n_key_heads=2,
    head_size=8,
    max_tokens=320,
    dtype=torch.float32,
    device=torch.device("cpu"),
)
PAGE = LAYOUT.bytes_per_page


def _request(n_chars: int, name: str = "a") -> Request:
    prefix = TRAINING_TEXT[max(n_chars - 300, 0) : n_chars]
    prompt = build_engine().codec.encode_fim(prefix=prefix, suffix="")
    return build_request(name, prompt, max_new_tokens=12)


@given(
    free_bytes=st.integers(0, 10**9), share=st.floats(0.01, 1), floor_bytes=st.integers(0, 10**9)
)
def test_the_pool_takes_its_share_of_what_is_above_the_floor_and_a_page_at_least(
    free_bytes: int, share: float, floor_bytes: int
) -> None:
    n_bytes = plan_pool_bytes(
        LAYOUT, free_bytes=free_bytes, share=share, floor_bytes=floor_bytes, n_most_rows=16
    )
    assert n_bytes % PAGE == 0
    assert PAGE <= n_bytes <= 16 * 5 * PAGE
    assert n_bytes == PAGE or n_bytes <= share * (free_bytes - floor_bytes)


@given(
    looks=st.lists(
        st.tuples(st.integers(0, 400), st.booleans(), st.integers(0, 200_000)), max_size=30
    )
)
def test_the_pool_stays_between_what_completing_needs_and_what_was_planned(
    looks: list[tuple[int, bool, int]],
) -> None:
    manners = Manners(LAYOUT, n_most_pages=100, floor_bytes=50 * PAGE)
    n_pages, now_ms = 100, 0.0
    for n_free_pages, is_pressed, passed_ms in looks:
        now_ms += passed_ms
        if is_pressed:
            manners.note_failure()
        n_next = manners.choose_pages(n_pages, n_free_pages * PAGE, now_ms)
        assert 5 <= n_next <= 100
        if n_next > n_pages:
            n_grown = n_next - n_pages
            assert n_free_pages - n_grown >= 50, "it grew into the floor of the others"
        n_pages = n_next


def test_another_process_gets_its_room_and_the_pool_returns_when_it_is_gone() -> None:
    card, clock = GraphCard(), ManualClock()
    parts = build_gpu_parts(card=card, clock=clock, n_pages=100, floor_bytes=50 * PAGE)
    parts.runner.warm_up(lambda share: None)
    engine = build_gpu_engine(parts=parts, clock=clock)
    expected = run_alone(build_engine(has_memory=False), _request(600))
    card.n_free_bytes = 20 * PAGE
    found = run_alone(engine, _request(600))
    assert parts.cache.pool.n_pages == 70
    assert parts.cache.pages.n_pages == 70
    assert parts.cache.pool.keys_LPSKD.shape[1] == 71
    assert engine.n_cache_bytes == 0
    assert found.text == run_alone(engine, _request(600, "again")).text == expected.text
    card.n_free_bytes = 400 * PAGE
    clock.advance(61_000)
    run_alone(engine, _request(600, "much later"))
    assert parts.cache.pool.n_pages == 100
    assert run_alone(engine, _request(600, "at last")).text == expected.text


def test_graphs_are_captured_again_between_rows_after_the_pool_moved() -> None:
    card, clock = GraphCard(), ManualClock()
    parts = build_gpu_parts(card=card, clock=clock, n_pages=100, floor_bytes=50 * PAGE)
    parts.runner.warm_up(lambda share: None)
    engine = build_gpu_engine(parts=parts, clock=clock)
    n_first = card.n_captures
    card.n_free_bytes = 20 * PAGE
    run_alone(engine, _request(600))
    n_replays = card.n_replays
    run_alone(engine, _request(620, "eager"))
    assert card.n_replays == n_replays, "a graph of the old addresses was replayed"
    card.n_free_bytes = 100 * PAGE
    for number in range(n_first):
        run_alone(engine, _request(600, f"request {number}"))
    assert card.n_captures == 2 * n_first


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError(),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["torch", "triton", "cublas"],
)
@pytest.mark.parametrize("where", ["prefill", "decoding"])
def test_memory_that_runs_out_costs_kept_prefixes_and_pages_but_no_answer(
    where: str,
    fault: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = GraphCard()
    parts = build_gpu_parts(card=card, n_pages=100)
    engine = build_gpu_engine(parts=parts)
    expected = run_alone(build_gpu_engine(), _request(600)).text
    faults = [fault, fault]
    if where == "prefill":
        plain = prefill.run_prefill

        def run_short(*arguments: object) -> list[torch.Tensor]:
            if faults:
                raise faults.pop()
            return plain(*arguments)  # type: ignore[arg-type]  # passed through as they came

        monkeypatch.setattr(runner, "run_prefill", run_short)
    else:
        compute = steps.DecodeSteps._compute

        def compute_short(self: steps.DecodeSteps, shape: BatchShape, *, draws: bool) -> None:
            if faults and parts.cache.n_rows_in_use:
                raise faults.pop()
            compute(self, shape, draws=draws)

        monkeypatch.setattr(steps.DecodeSteps, "_compute", compute_short)
    finish = run_alone(engine, _request(600))
    assert finish.text == expected
    assert finish.reason is not FinishReason.FAILED
    assert not faults
    assert "out of memory" in caplog.text
    assert card.n_given_back
    assert parts.cache.pool.n_pages == 75, "the pool shrank once no row was in use"


def test_graphs_share_memory_until_all_are_gone_and_then_have_another() -> None:
    class Graph:
        pass

    names = iter(range(9))
    memory = GraphMemory(lambda: next(names))
    first, second = Graph(), Graph()
    assert memory.name() == 0
    memory.note(first)
    assert memory.name() == 0
    memory.note(second)
    del first
    assert memory.name() == 0
    del second
    gc.collect()
    assert memory.name() == 1


def test_a_pool_that_finds_no_memory_is_half_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = build_gpu_parts(n_pages=100)
    allocate = pool._allocate

    def allocate_short(layout: KvLayout, n_pages: int) -> tuple[torch.Tensor, torch.Tensor]:
        if n_pages > 40:
            raise torch.OutOfMemoryError
        return allocate(layout, n_pages)

    monkeypatch.setattr(pool, "_allocate", allocate_short)
    parts.cache.resize(90)
    assert parts.cache.pool.n_pages == parts.cache.pages.n_pages == 22


@pytest.mark.parametrize("fault", [RuntimeError("capture"), torch.OutOfMemoryError()])
def test_a_capture_that_fails_is_said_once_and_the_rest_runs_eagerly(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    card = GraphCard(fails_at=2, fault=fault)
    parts = build_gpu_parts(card=card)
    shares: list[float] = []
    with caplog.at_level(logging.WARNING):
        parts.runner.warm_up(shares.append)
        engine = build_gpu_engine(parts=parts)
        for number in range(3):
            found = run_alone(engine, _request(600, f"request {number}"))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert parts.runner.n_graphs == 2
    assert caplog.text.count("CUDA graph") == 1
    assert found.text == run_alone(build_gpu_engine(), _request(600)).text


def test_an_engine_that_is_dropped_frees_its_pool_and_one_built_again_answers_the_same() -> None:
    """Idle unloading is dropping it: nothing of the runner may hold on."""
    parts = build_gpu_parts(card=GraphCard())
    parts.runner.warm_up(lambda share: None)
    engine = build_gpu_engine(parts=parts)
    found = run_alone(engine, _request(600))
    held = weakref.ref(parts.cache.pool)
    del parts, engine
    gc.collect()
    assert held() is None
    again = run_alone(build_gpu_engine(), _request(600))
    assert dataclasses.replace(again, queue_ms=0, prefill_ms=0, decode_ms=0).tokens == found.tokens
