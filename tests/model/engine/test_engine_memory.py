"""Rows with a memory keep the engine's equalities, and copy what the project says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import Finish, Request, RequestId, Sampling
from fimble_testing.tiny_engines import build_engine, build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import STYLES, TRAINING_TEXT

WORD = "quartz_lantern_of_the_seventh_harbour(north, south)"
DOCUMENT = "".join(f"value_{index} = {WORD}\n" for index in range(40))
SAMPLINGS = [Sampling(), Sampling(temperature=0.8, top_p=0.95, seed=7)]


def _engine(
    style: str = "fimble", texts: Iterable[str] = (DOCUMENT, TRAINING_TEXT)
) -> NativeEngine:
    engine = build_engine(style=style)
    for index, text in enumerate(texts):
        engine.remember("mine", f"file {index}", text)
    return engine


def _request(
    engine: NativeEngine, prefix: str, *, name: str = "row", sampling: Sampling | None = None
) -> Request:
    prompt = engine.codec.encode_fim(prefix=prefix, suffix="\nend = 1\n")
    return build_request(name, prompt, sampling=sampling, max_new_tokens=12, memory_scope="mine")


def _ids_of(finish: Finish) -> list[int]:
    return [token.token_id for token in finish.tokens]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("cut", [8, 11, 20])
def test_what_the_project_says_again_and_again_is_copied(style: str, cut: int) -> None:
    """Also from within a word, which is healed: the middle begins where the cursor stands."""
    engine = _engine(style)
    finish = run_alone(engine, _request(engine, f"x = 1\nvalue_41 = {WORD[:cut]}"))
    assert len(finish.text) > 5
    assert WORD[cut:].startswith(finish.text[: len(WORD) - cut].rstrip("\n"))
    assert all(token.logprob > -2.0 for token in finish.tokens)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "sampled"])
def test_cached_equals_uncached(sampling: Sampling) -> None:
    warm = _engine()
    for n_chars in range(300, 312):
        request = _request(warm, TRAINING_TEXT[:n_chars], sampling=sampling)
        assert _ids_of(run_alone(warm, request)) == _ids_of(run_alone(_engine(), request))


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "sampled"])
def test_batched_equals_alone(sampling: Sampling) -> None:
    engine = _engine()
    requests = [
        _request(engine, TRAINING_TEXT[: 200 + 31 * index], name=str(index), sampling=sampling)
        for index in range(5)
    ]
    requests.append(dataclasses.replace(requests[0], request_id=RequestId("no"), memory_scope=None))
    together = run_all(engine, requests)
    for request in requests:
        finish = last_of(together[request.request_id])
        assert finish is not None
        assert _ids_of(finish) == _ids_of(run_alone(_engine(), request))


def test_interrupted_equals_restarted() -> None:
    engine = _engine()
    request = _request(engine, TRAINING_TEXT[:400])
    engine.add(dataclasses.replace(request, request_id=RequestId("first")))
    for _ in range(4):
        engine.step()
    engine.cancel(RequestId("first"))
    engine.step()
    assert _ids_of(run_alone(engine, request)) == _ids_of(run_alone(_engine(), request))


def test_what_is_remembered_while_a_row_runs_changes_nothing_for_it() -> None:
    engine = _engine()
    request = _request(engine, TRAINING_TEXT[:400])
    expected = _ids_of(run_alone(_engine(), request))
    engine.add(request)
    deltas = []
    for index in range(100):
        if not engine.has_work:
            break
        deltas += engine.step()
        engine.remember("mine", f"new {index}", TRAINING_TEXT[400:])
        engine.forget("mine", "file 1")
    finish = last_of(deltas)
    assert finish is not None
    assert _ids_of(finish) == expected


def test_without_a_scope_or_in_another_the_memory_is_silent() -> None:
    plain, engine = build_engine(), _engine()
    request = _request(engine, f"x = 1\nvalue_41 = {WORD[:11]}")
    silent = dataclasses.replace(request, memory_scope=None)
    expected = _ids_of(run_alone(plain, silent))
    assert _ids_of(run_alone(engine, silent)) == expected
    other = dataclasses.replace(request, memory_scope="another's")
    assert _ids_of(run_alone(engine, other)) == expected
    engine.forget("mine")
    assert _ids_of(run_alone(engine, request)) == expected


def test_an_engine_without_a_memory_takes_texts_and_does_nothing() -> None:
    engine = build_engine(has_memory=False)
    engine.remember("mine", "file", DOCUMENT)
    engine.forget("mine", "file")
    request = _request(engine, f"x = 1\nvalue_41 = {WORD[:11]}")
    assert _ids_of(run_alone(engine, request)) == _ids_of(run_alone(build_engine(), request))
