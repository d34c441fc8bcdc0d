"""Values that no engine could serve are refused in plain words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fimble_model.engine.protocol import Prompt, Request, RequestId, Sampling, TokenId
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import RequestError


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -0.1},
        {"temperature": 0.001},
        {"temperature": 11.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"seed": -1},
        {"seed": 2**63},
    ],
    ids=str,
)
def test_impossible_sampling_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"Expected .*; found .*"):
        Sampling(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"max_new_tokens": 0},
        {"min_confidence": 1.5},
        {"min_confidence": math.nan},
        {"deadline_ms": math.nan},
        {"prompt": Prompt(token_ids=())},
    ],
    ids=str,
)
def test_an_impossible_request_is_refused(values: dict[str, Any]) -> None:
    sound: dict[str, Any] = {
        "request_id": RequestId("a"),
        "prompt": Prompt(token_ids=(TokenId(1),)),
        "max_new_tokens": 1,
        "stop": NeverStop(),
    }
    assert Request(**sound)
    with pytest.raises(RequestError, match=r"Expected .*; found .*"):
        Request(**{**sound, **values})
