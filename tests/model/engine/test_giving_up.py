"""A row is given up as soon as all of it can no longer be sure enough, and never before."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.giving_up import bounded_logprob, is_hopeless
from fimble_model.engine.protocol import FinishReason
from fimble_model.errors import RequestError
from fimble_testing.tiny_engines import build_engine, build_request, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

_logprobs = st.lists(st.floats(min_value=-20.0, max_value=0.0), max_size=40)


@settings(deadline=None)
@given(_logprobs, _logprobs, st.floats(min_value=0.0, max_value=1.0))
def test_a_hopeless_row_stays_unsure_whatever_comes_next(
    seen: list[float], later: list[float], min_confidence: float
) -> None:
    known = [bounded_logprob(logprob) for logprob in seen]
    every = known + [bounded_logprob(logprob) for logprob in later]
    gave_up = is_hopeless(sum_logprobs=sum(known), min_confidence=min_confidence)
    assert not gave_up or math.exp(sum(every)) <= min_confidence


@settings(deadline=None)
@given(st.floats(allow_nan=True))
def test_no_row_is_hopeless_where_nothing_is_asked(logprob: float) -> None:
    assert not is_hopeless(sum_logprobs=bounded_logprob(logprob), min_confidence=0.0)


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
