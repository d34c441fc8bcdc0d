"""The engine's equalities: cached = uncached, batched = alone, interrupted = restarted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.protocol import Finish, Prompt, Request, Sampling
from fimble_model.engine.scheduler import PassLimits
from fimble_model.network.device import Dtype
from fimble_testing.tiny_engines import build_engine, build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import STYLES, TRAINING_TEXT

CPU_DTYPES = [
    Dtype.FLOAT32,
    pytest.param(
        Dtype.INT8,
        marks=pytest.mark.skipif(
            "fbgemm" not in torch.backends.quantized.supported_engines, reason="needs FBGEMM"
        ),
    ),
]
GREEDY = Sampling()
SAMPLED = Sampling(temperature=0.8, top_p=0.95, seed=7)


def _prompt(style: str, n_chars: int) -> Prompt:
    codec = build_engine(style=style).codec
    start = max(n_chars - 300, 0)
    return codec.encode_fim(
        prefix=TRAINING_TEXT[start:n_chars], suffix=TRAINING_TEXT[n_chars : n_chars + 120]
    )


def _request(style: str, n_chars: int, sampling: Sampling = GREEDY, name: str = "") -> Request:
    return build_request(name or f"at {n_chars}", _prompt(style, n_chars), sampling=sampling)


def _assert_equal(found: Finish, expected: Finish) -> None:
    assert found.text == expected.text
    assert found.reason == expected.reason
    assert [token.token_id for token in found.tokens] == [t.token_id for t in expected.tokens]
    assert [token.logprob for token in found.tokens] == pytest.approx(
        [token.logprob for token in expected.tokens], abs=1e-3
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", CPU_DTYPES)
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_cached_equals_uncached(style: str, dtype: Dtype, sampling: Sampling) -> None:
    """A typing session over one engine gives what a new engine gives at every key."""
    warm = build_engine(style=style, dtype=dtype)
    for n_chars in range(600, 620):
        request = _request(style, n_chars, sampling)
        cold = build_engine(style=style, dtype=dtype)
        _assert_equal(run_alone(warm, request), run_alone(cold, request))


@pytest.mark.parametrize("dtype", CPU_DTYPES)
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_batched_equals_alone(dtype: Dtype, sampling: Sampling) -> None:
    requests = [_request("fimble", n_chars, sampling) for n_chars in range(500, 800, 37)]
    batched = run_all(build_engine(dtype=dtype), requests)
    for request in requests:
        finish = last_of(batched[request.request_id])
        assert finish
        _assert_equal(finish, run_alone(build_engine(dtype=dtype), request))


@settings(max_examples=15, deadline=None)
@given(max_tokens=st.integers(1, 300), n_chars=st.integers(100, 900))
def test_prefill_in_chunks_equals_prefill_at_once(max_tokens: int, n_chars: int) -> None:
    chunked = build_engine(limits=PassLimits(max_rows=4, max_tokens=max_tokens))
    request = _request("fimble", n_chars)
    _assert_equal(run_alone(chunked, request), run_alone(build_engine(), request))


@settings(max_examples=15, deadline=None)
@given(n_steps=st.integers(0, 12), n_chars=st.integers(100, 900))
def test_interrupted_equals_restarted(n_steps: int, n_chars: int) -> None:
    """What a cancelled row leaves behind changes nothing for the next one."""
    engine = build_engine(limits=PassLimits(max_rows=4, max_tokens=40))
    engine.add(_request("fimble", n_chars, name="interrupted"))
    for _ in range(n_steps):
        engine.step()
    engine.cancel(_request("fimble", n_chars, name="interrupted").request_id)
    engine.step()
    assert not engine.has_work
    request = _request("fimble", n_chars, name="restarted")
    _assert_equal(run_alone(engine, request), run_alone(build_engine(), request))


def test_the_same_seed_draws_the_same_text_and_another_seed_another() -> None:
    texts = [
        run_alone(
            build_engine(),
            build_request("a", _prompt("fimble", 600), sampling=Sampling(temperature=2, seed=seed)),
        ).text
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_candidates_of_one_prompt_compute_it_once() -> None:
    engine = build_engine()
    requests = [
        _request("fimble", 600, Sampling(temperature=1, seed=seed), f"candidate {seed}")
        for seed in range(4)
    ]
    finishes = [last_of(deltas) for deltas in run_all(engine, requests).values()]
    n_prompt = len(requests[0].prompt.token_ids)
    assert sorted(f.n_reused_tokens for f in finishes if f) == [0, *[n_prompt - 1] * 3]


def test_typing_on_reuses_nearly_everything() -> None:
    """The window's start and the suffix stay, as the completer keeps them while one types."""
    engine = build_engine()
    n_prompt = n_reused = 0
    for n_chars in range(600, 680):
        prompt = engine.codec.encode_fim(
            prefix=TRAINING_TEXT[300:n_chars], suffix=TRAINING_TEXT[700:800]
        )
        finish = run_alone(engine, build_request(f"key {n_chars}", prompt))
        n_prompt += finish.n_prompt_tokens
        n_reused += finish.n_reused_tokens
    assert n_reused / n_prompt > 0.95


def test_generated_tokens_are_reused_when_typed() -> None:
    """Accepting what was suggested needs no second prefill of it."""
    engine = build_engine()
    prompt = Prompt(token_ids=tuple(engine.codec.encode("def total")))
    finish = run_alone(engine, build_request("first", prompt, max_new_tokens=12))
    typed = Prompt(token_ids=(*prompt.token_ids, *(token.token_id for token in finish.tokens)))
    again = run_alone(engine, build_request("second", typed))
    assert again.n_reused_tokens == len(typed.token_ids) - 1
