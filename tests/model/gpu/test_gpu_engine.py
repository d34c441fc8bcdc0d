"""Laws of the GPU's runner, kept on the CPU: its tokens are those of torch's own path.

With graphs pretended and without, with the next step begun ahead and without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.kv_cache import KvRow
from fimble_model.engine.protocol import Finish, FinishReason, Prompt, Request, Sampling
from fimble_model.engine.scheduler import PassLimits
from fimble_model.gpu.card import HostCard
from fimble_model.gpu.parts import GpuParts
from fimble_testing.gpu_on_host import GraphCard, build_gpu_engine, build_gpu_parts
from fimble_testing.tiny_engines import build_engine, build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

SAMPLED = Sampling(temperature=0.8, top_p=0.95, seed=7)
# In float32, sums of another order move a log-probability this far at the most.
TOLERANCE = 1e-3


def _request(n_chars: int, sampling: Sampling | None = None, n_new: int = 12) -> Request:
    codec = build_engine().codec
    prompt = codec.encode_fim(
        prefix=TRAINING_TEXT[max(n_chars - 300, 0) : n_chars],
        suffix=TRAINING_TEXT[n_chars : n_chars + 60],
    )
    return build_request(f"at {n_chars}", prompt, sampling=sampling, max_new_tokens=n_new)


def _assert_equal(found: Finish | None, expected: Finish | None) -> None:
    assert found is not None
    assert expected is not None
    assert found.reason == expected.reason
    assert [token.token_id for token in found.tokens] == [t.token_id for t in expected.tokens]
    assert [token.logprob for token in found.tokens] == pytest.approx(
        [token.logprob for token in expected.tokens], abs=TOLERANCE
    )


def _graphed_engine(*, looks_ahead: bool = True) -> tuple[NativeEngine, GraphCard]:
    card = GraphCard()
    parts = build_gpu_parts(card=card, looks_ahead=looks_ahead)
    parts.runner.warm_up(lambda share: None)
    return build_gpu_engine(parts=parts), card


@settings(max_examples=8)
@given(
    places=st.lists(st.integers(100, 900), min_size=1, max_size=7, unique=True),
    waits=st.lists(st.integers(0, 6), min_size=7, max_size=7),
    max_tokens=st.integers(8, 300),
    is_graphed=st.booleans(),
    looks_ahead=st.booleans(),
)
def test_tokens_are_those_of_torchs_own_path(
    places: list[int], waits: list[int], max_tokens: int, is_graphed: bool, looks_ahead: bool
) -> None:
    """Rows come and go at random, prompts in chunks, drafts where they are thought to pay."""
    card = GraphCard() if is_graphed else HostCard()
    parts = build_gpu_parts(card=card, looks_ahead=looks_ahead)
    if is_graphed:
        parts.runner.warm_up(lambda share: None)
    engine = build_gpu_engine(parts=parts, limits=PassLimits(max_rows=4, max_tokens=max_tokens))
    requests = [_request(place) for place in places]
    finishes: dict[str, Finish] = {}
    for request, n_steps in zip(requests, waits, strict=False):
        engine.add(request)
        for _ in range(n_steps):
            finishes |= {d.request_id: d.finish for d in engine.step() if d.finish}
    finishes |= {name: f for name, deltas in run_all(engine).items() if (f := last_of(deltas))}
    for request in requests:
        expected = run_alone(build_engine(has_memory=False), request)
        _assert_equal(finishes[request.request_id], expected)


@pytest.mark.parametrize("sampling", [None, SAMPLED], ids=["greedy", "sampled"])
def test_cached_equals_uncached(sampling: Sampling | None) -> None:
    warm, _ = _graphed_engine()
    for n_chars in range(600, 612):
        request = _request(n_chars, sampling)
        _assert_equal(run_alone(warm, request), run_alone(build_gpu_engine(), request))


@pytest.mark.parametrize("sampling", [None, SAMPLED], ids=["greedy", "sampled"])
def test_batched_equals_alone(sampling: Sampling | None) -> None:
    """A row's draw never depends on the batch around it."""
    requests = [_request(n_chars, sampling) for n_chars in range(500, 800, 37)]
    engine, card = _graphed_engine()
    batched = run_all(engine, requests)
    assert card.n_replays
    for request in requests:
        alone = run_alone(build_gpu_engine(), request)
        _assert_equal(last_of(batched[request.request_id]), alone)


def test_speculative_equals_plain_when_sampled_on_the_card() -> None:
    """A text that repeats itself is drafted; a draft that proves wrong costs no random number."""
    engine = build_gpu_engine()
    text = "def total(self):\n    return self.total\n\n" * 6
    prompt = Prompt(token_ids=tuple(engine.codec.encode(text)))
    for seed in range(4):
        sampling = Sampling(temperature=0.05, seed=seed)
        request = build_request("a", prompt, sampling=sampling, max_new_tokens=40)
        finish = run_alone(build_gpu_engine(), request)
        _assert_equal(finish, run_alone(build_gpu_engine(speculates=False), request))


@settings(max_examples=8)
@given(
    places=st.lists(st.integers(100, 900), min_size=2, max_size=7, unique=True),
    waits=st.lists(st.integers(0, 9), min_size=7, max_size=7),
    heats=st.lists(st.sampled_from([0.0, 0.8]), min_size=7, max_size=7),
    is_graphed=st.booleans(),
)
def test_rows_that_stride_draw_what_planned_passes_draw(
    places: list[int], waits: list[int], heats: list[float], is_graphed: bool
) -> None:
    """Rows come, go and cross pages at random; nobody drafts, so that they go on by themselves."""
    card = GraphCard() if is_graphed else HostCard()
    parts = build_gpu_parts(card=card, looks_ahead=True)
    if is_graphed:
        parts.runner.warm_up(lambda share: None)
    engine = build_gpu_engine(parts=parts, speculates=False)
    requests = [
        _request(place, Sampling(temperature=heat, top_p=0.9, seed=place), 70)
        for place, heat in zip(places, heats, strict=False)
    ]
    finishes: dict[str, Finish] = {}
    for request, n_steps in zip(requests, waits, strict=False):
        engine.add(request)
        for _ in range(n_steps):
            finishes |= {d.request_id: d.finish for d in engine.step() if d.finish}
    finishes |= {name: f for name, deltas in run_all(engine).items() if (f := last_of(deltas))}
    plain = build_gpu_parts(looks_ahead=False)
    for request in requests:
        alone = run_alone(build_gpu_engine(parts=plain, speculates=False), request)
        _assert_equal(finishes[request.request_id], alone)
        found = finishes[request.request_id]
        n_decoding = found.n_passes - found.n_prefill_passes
        assert n_decoding == alone.n_passes - alone.n_prefill_passes
    assert engine.n_rows_in_use == 0


@pytest.mark.parametrize("strides", [False, True])
def test_rows_that_begin_a_page_in_the_same_step_keep_each_its_own(strides: bool) -> None:
    """The step begun ahead writes to pages that no other row may be given meanwhile."""
    parts = build_gpu_parts(looks_ahead=True)
    engine = build_gpu_engine(parts=parts, speculates=False)
    n_strides = _count_strides(parts)
    if not strides:
        parts.runner.run_on = lambda rows, uniforms: None  # type: ignore[method-assign]  # refused
    ids = engine.codec.encode(TRAINING_TEXT)
    requests = [
        build_request(
            f"{start}", Prompt(token_ids=tuple(ids[start : start + 60])), max_new_tokens=40
        )
        for start in (0, 5, 10, 15)
    ]
    batched = run_all(engine, requests)
    assert parts.runner.hopes.n_hits > 20
    assert len(n_strides) > 20 or not strides
    for request in requests:
        plain = build_gpu_parts(looks_ahead=False)
        alone = run_alone(build_gpu_engine(parts=plain, speculates=False), request)
        _assert_equal(last_of(batched[request.request_id]), alone)


def test_a_stop_rule_that_throws_in_a_stride_fails_its_row_alone() -> None:
    class Throws:
        def n_chars_to_keep(self, middle: str) -> int | None:
            if len(middle) > 12:
                raise ValueError("a rule's fault")
            return None

    parts = build_gpu_parts(looks_ahead=True)
    engine = build_gpu_engine(parts=parts, speculates=False)
    n_strides = _count_strides(parts)
    bad = dataclasses.replace(_request(500, n_new=60), stop=Throws())
    good = _request(640, n_new=60)
    finishes = {name: last_of(deltas) for name, deltas in run_all(engine, [bad, good]).items()}
    failed = finishes[bad.request_id]
    assert failed is not None
    assert failed.reason is FinishReason.FAILED
    assert n_strides
    expected = run_alone(build_gpu_engine(speculates=False), good)
    _assert_equal(finishes[good.request_id], expected)


def _count_strides(parts: GpuParts) -> list[int]:
    """Grows by a number of rows with every step that was at hand."""
    counted: list[int] = []
    plain = parts.runner.run_on

    def run_on(
        rows: Sequence[KvRow], uniforms: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]] | None:
        found = plain(rows, uniforms)
        if found is not None:
            counted.append(len(rows))
        return found

    parts.runner.run_on = run_on  # type: ignore[method-assign]  # to count its calls
    return counted


def test_a_step_begun_ahead_is_taken_and_changes_nothing() -> None:
    request = _request(640, n_new=30)
    parts = build_gpu_parts(looks_ahead=True)
    found = run_alone(build_gpu_engine(parts=parts, speculates=False), request)
    plain = build_gpu_parts(looks_ahead=False)
    _assert_equal(found, run_alone(build_gpu_engine(parts=plain, speculates=False), request))
    assert parts.runner.hopes.n_hits > 20
    assert parts.runner.hopes.n_drops <= 1
    assert plain.runner.hopes.n_hits == 0


@settings(max_examples=6)
@given(n_steps=st.integers(0, 14))
def test_cancelling_one_of_a_batch_changes_nothing_for_the_others(n_steps: int) -> None:
    engine, _ = _graphed_engine()
    requests = [_request(n_chars, n_new=16) for n_chars in (500, 620, 740)]
    for request in requests:
        engine.add(request)
    finishes: dict[str, Finish] = {}
    for _ in range(n_steps):
        finishes |= {d.request_id: d.finish for d in engine.step() if d.finish}
    engine.cancel(requests[1].request_id)
    finishes |= {name: f for name, deltas in run_all(engine).items() if (f := last_of(deltas))}
    assert engine.n_rows_in_use == 0
    for request in (requests[0], requests[2]):
        _assert_equal(finishes[request.request_id], run_alone(build_gpu_engine(), request))


def test_what_is_scored_equals_torchs_own_path() -> None:
    prompt = _request(700).prompt
    token_ids = build_engine().codec.encode("    return total\n")
    found = build_gpu_engine().score(prompt, token_ids)
    expected = build_engine().score(prompt, token_ids)
    assert torch.allclose(found, expected, atol=TOLERANCE)


def test_the_memory_has_its_say_as_on_the_cpu() -> None:
    """Its rows' log-probabilities come to the host; the others' tokens come drawn."""
    engines = [build_gpu_engine(has_memory=True), build_engine(has_memory=True)]
    finishes = []
    for engine in engines:
        engine.remember("here", "a.py", TRAINING_TEXT)
        request = build_request("a", _request(640).prompt, memory_scope="here")
        finishes.append(last_of(run_all(engine, [request, _request(500)])["a"]))
    _assert_equal(finishes[0], finishes[1])
