"""A row is given up only where no sure ending within reach could lift its confidence."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.giving_up import N_SURE_TOKENS_GRANTED, bounded_logprob, is_hopeless
from fimble_model.engine.protocol import FinishReason
from fimble_model.errors import RequestError
from fimble_testing.tiny_engines import build_engine, build_request, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

_logprobs = st.floats(min_value=-20.0, max_value=0.0)


@settings(deadline=None)
@given(
    st.lists(_logprobs, min_size=1, max_size=40),
    st.lists(_logprobs, max_size=N_SURE_TOKENS_GRANTED),
    st.floats(min_value=0.0, max_value=1.0),
)
def test_a_hopeless_row_stays_unsure_whatever_comes_next(
    seen: list[float], later: list[float], min_confidence: float
) -> None:
    known = [bounded_logprob(logprob) for logprob in seen]
    every = known + [bounded_logprob(logprob) for logprob in later]
    gave_up = is_hopeless(
        sum_logprobs=sum(known),
        n_tokens=len(known),
        n_tokens_left=len(later),
        min_confidence=min_confidence,
    )
    mean = math.exp(sum(every) / len(every))
    assert not gave_up or mean < min_confidence + 1e-9


@settings(deadline=None)
@given(st.floats(allow_nan=True), st.integers(1, 64), st.integers(0, 64))
def test_no_row_is_hopeless_where_nothing_is_asked(
    logprob: float, n_tokens: int, n_tokens_left: int
) -> None:
    assert not is_hopeless(
        sum_logprobs=bounded_logprob(logprob),
        n_tokens=n_tokens,
        n_tokens_left=n_tokens_left,
        min_confidence=0.0,
    )


@pytest.mark.parametrize(("n_left", "gives_up"), [(0, True), (1, False), (60, False)])
def test_a_row_near_its_last_token_is_granted_no_more_than_it_may_get(
    n_left: int, gives_up: bool
) -> None:
    found = is_hopeless(
        sum_logprobs=math.log(0.2), n_tokens=1, n_tokens_left=n_left, min_confidence=0.4
    )
    assert found is gives_up


def test_an_unsure_row_is_given_up_early_and_says_what_it_has() -> None:
    """Random weights are sure of nothing; the tokens until then are those of plain decoding."""
    engine = build_engine()
    prompt = engine.codec.encode_fim(prefix=TRAINING_TEXT[:200], suffix=TRAINING_TEXT[200:260])
    plain = run_alone(engine, build_request("plain", prompt, max_new_tokens=40))
    request = build_request("unsure", prompt, max_new_tokens=40)
    unsure = run_alone(engine, dataclasses.replace(request, min_confidence=0.6))
    assert unsure.reason is FinishReason.GIVEN_UP
    assert len(unsure.tokens) < len(plain.tokens)
    n_tokens = len(unsure.tokens)
    assert [t.token_id for t in unsure.tokens] == [t.token_id for t in plain.tokens[:n_tokens]]
    assert plain.text.startswith(unsure.text)
    assert engine.n_rows_in_use == 0


@pytest.mark.parametrize("min_confidence", [-0.1, 1.1, math.nan])
def test_an_impossible_threshold_is_refused(min_confidence: float) -> None:
    engine = build_engine()
    request = build_request("row", engine.codec.encode_fim(prefix="x = ", suffix=""))
    with pytest.raises(RequestError):
        dataclasses.replace(request, min_confidence=min_confidence)
