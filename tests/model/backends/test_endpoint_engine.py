"""A completions server behind our engine: what is sent, what is taken, and every way it fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fimble_model.backends.endpoint import Endpoint
from fimble_model.backends.endpoint_codec import EndpointCodec, break_controls, control_strings
from fimble_model.backends.endpoint_engine import EndpointEngine
from fimble_model.backends.endpoint_loading import load_endpoint
from fimble_model.engine.protocol import BackEnd, FinishReason, Request, RequestId
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.errors import CheckpointError, EndpointError
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_completions import FakeCompletions, serve_completions
from fimble_testing.tiny_engines import build_request, last_of, run_all, run_alone

PREFIX, SUFFIX = "def add(left, right):\n    return ", "\n\nprint('secret_of_the_user')\n"


@pytest.fixture
def fake() -> Iterator[FakeCompletions]:
    with serve_completions() as served:
        yield served


def _endpoint(fake: FakeCompletions) -> Endpoint:
    return Endpoint(
        url=fake.url, model=fake.model, fim_family="qwen2.5-coder", key="s3cret", timeout_s=10
    )


@pytest.fixture
def engine(fake: FakeCompletions) -> Iterator[EndpointEngine]:
    loaded = load_endpoint(_endpoint(fake))
    fake.bodies.clear()
    yield loaded
    loaded.close()


def _request(engine: EndpointEngine, name: str = "a", **options: Any) -> Request:
    prompt = engine.codec.encode_fim(prefix=PREFIX, suffix=SUFFIX)
    return build_request(name, prompt, **options)


def test_we_write_the_prompt_where_the_format_is_stated(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    finish = run_alone(engine, _request(engine, max_new_tokens=9))
    assert (finish.text, finish.reason) == ("left + right", FinishReason.END_TOKEN)
    assert [token.logprob for token in finish.tokens] == [-0.1, -0.2, -0.3]
    (body,) = fake.bodies
    written = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
    assert (body["prompt"], body["max_tokens"], body["model"]) == (written, 9, "coder")
    assert "suffix" not in body
    assert 0 < len(body["stop"]) <= 4
    assert set(fake.keys) == {"Bearer s3cret"}


def test_the_server_writes_the_prompt_where_it_is_to(fake: FakeCompletions) -> None:
    engine = load_endpoint(replace(_endpoint(fake), fim_family=None))
    run_alone(engine, _request(engine))
    engine.close()
    assert (fake.bodies[-1]["prompt"], fake.bodies[-1]["suffix"]) == (PREFIX, SUFFIX)


def test_control_strings_in_the_users_text_stay_text(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    typed = "".join(sorted(control_strings())) + "<|im_start|>"
    prompt = engine.codec.encode_fim(prefix=typed, suffix=typed)
    run_alone(engine, build_request("a", prompt))
    sent = fake.bodies[-1]["prompt"]
    assert sent.count("<|fim_prefix|>") == sent.count("<|fim_suffix|>") == 1
    assert "<|im_start|>" not in sent
    assert not any(word in break_controls(typed) for word in control_strings())


@pytest.mark.parametrize("text", ["", "x", "a\x00b\U0001f600\r\n\u2028é", "\U0010ffff" * 7])
def test_text_comes_back_unchanged_and_a_token_is_three_characters(text: str) -> None:
    codec = EndpointCodec(None)
    token_ids = codec.encode(text)
    assert codec.decode(token_ids) == text
    assert len(token_ids) == -(-len(text) // 3)


def test_a_control_string_in_pieces_ends_the_row_and_never_shows(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    fake.pieces = ("left <", " right <|endo", "ftext|> more")
    deltas = run_all(engine, [_request(engine)])["a"]
    finish = last_of(deltas)
    assert finish is not None
    assert finish.reason is FinishReason.END_TOKEN
    assert finish.text == "".join(delta.text for delta in deltas)
    assert "|" not in finish.text
    assert finish.text.startswith("left < right ")


def test_the_stop_rule_cuts_here_and_hangs_up_there(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    fake.holds, fake.pieces = True, ("one\ntwo",)
    finish = run_alone(engine, _request(engine, stop=StopAtLineEnd()))
    assert (finish.text, finish.reason) == ("one", FinishReason.STOP_RULE)
    assert fake.gone.acquire(timeout=10)


def test_a_cancelled_row_hangs_up_and_the_others_go_on(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    fake.holds = True
    engine.add(_request(engine, "goes"))
    while not engine.step():
        pass
    fake.holds = False
    engine.add(_request(engine, "stays"))
    engine.cancel(RequestId("goes"))
    deltas = engine.step()
    (finish,) = [delta.finish for delta in deltas if delta.request_id == "goes"]
    assert finish is not None
    assert (finish.reason, finish.text) == (FinishReason.CANCELLED, "left")
    assert fake.gone.acquire(timeout=10)
    kept = last_of(run_all(engine)["stays"])
    assert kept is not None
    assert kept.text == "left + right"


def test_a_row_past_its_deadline_ends_with_what_it_has(fake: FakeCompletions) -> None:
    clock = ManualClock()
    engine = EndpointEngine(replace(_endpoint(fake), fim_family=None), None, clock)
    fake.holds = True
    engine.add(replace(_request(engine), deadline_ms=clock.now_ms() + 50))
    while not engine.step():
        pass
    clock.advance(60)
    (delta,) = engine.step()
    engine.close()
    assert delta.finish is not None
    assert (delta.finish.reason, delta.finish.text) == (FinishReason.DEADLINE, "left")


def test_silence_is_a_fault_that_is_told_with_its_time(fake: FakeCompletions) -> None:
    engine = EndpointEngine(replace(_endpoint(fake), fim_family=None, timeout_s=0.2), None)
    fake.holds = True
    finish = run_alone(engine, _request(engine))
    engine.close()
    assert (finish.text, finish.reason) == ("left", FinishReason.FAILED)
    assert engine.last_fault is not None
    assert "silence for 0.2 s" in str(engine.last_fault)
    assert fake.gone.acquire(timeout=10)


def test_llama_cpps_form_of_probabilities_is_read_too(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    """Else what its server is unsure of would count as sure."""
    fake.writes_as_llama_cpp = True
    finish = run_alone(engine, _request(engine))
    assert [token.logprob for token in finish.tokens] == [-0.1, -0.2, -0.3]


def test_a_model_may_be_named_by_its_alias(fake: FakeCompletions) -> None:
    fake.listed = {"aliases": ["other"]}
    load_endpoint(replace(_endpoint(fake), model="other")).close()


@pytest.mark.parametrize(
    ("owner", "stated", "sent"),
    [
        ("me", {}, {"repeat_penalty": 1.0}),
        ("vllm", {}, {"repetition_penalty": 1.0}),
        ("vllm", {"repetition_penalty": None, "top_k": 40}, {"top_k": 40}),
        ("llamacpp", {"temperature": 0.1}, {"temperature": 0.1}),
        (None, {}, {}),
    ],
)
def test_a_server_is_told_what_its_kind_would_do_by_itself_and_what_the_user_states(
    fake: FakeCompletions,
    owner: str | None,
    stated: dict[str, object],
    sent: dict[str, object],
) -> None:
    fake.listed = {} if owner is None else {"owned_by": owner}
    engine = load_endpoint(replace(_endpoint(fake), parameters=stated))
    run_alone(engine, _request(engine))
    engine.close()
    names = ("repeat_penalty", "repetition_penalty", "top_k")
    body = fake.bodies[-1]
    expected = {"temperature": 0.0} | sent
    assert {name: body[name] for name in (*names, "temperature") if name in body} == expected


def test_a_server_without_probabilities_is_asked_without(fake: FakeCompletions) -> None:
    fake.refuses_logprobs = True
    engine = load_endpoint(_endpoint(fake))
    fake.bodies.clear()
    finish = run_alone(engine, _request(engine))
    engine.close()
    assert finish.text == "left + right"
    assert ["logprobs" in body for body in fake.bodies] == [False]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "endpoint_key_variable"),
        ({"status": 404}, r"model\.name"),
        ({"status": 429}, "too many"),
        ({"status": 503}, "fault of its own"),
        ({"status": 400}, "takes? "),
        ({"raw_lines": ("<html>hello</html>",)}, "something else than events"),
        ({"raw_lines": ("data: {not json",)}, "an event that is none"),
        ({"raw_lines": ('data: {"error": {"message": "oops"}}',)}, "in the middle"),
        ({"is_cut": True, "pieces": ("left",)}, "cut off"),
        ({"model": "coder"}, ""),
    ],
)
def test_each_fault_is_told_at_loading_in_plain_words(
    fake: FakeCompletions, fault: dict[str, object], words: str
) -> None:
    for name, value in fault.items():
        setattr(fake, name, value)
    if not words:
        load_endpoint(_endpoint(fake)).close()
        return
    with pytest.raises(EndpointError, match=words) as caught:
        load_endpoint(_endpoint(fake))
    assert "s3cret" not in str(caught.value)
    assert "add" not in str(caught.value)


def test_no_server_is_told_by_its_address() -> None:
    endpoint = Endpoint(url="http://127.0.0.1:9/v1", model="m", fim_family="starcoder")
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
        load_endpoint(endpoint)


def test_a_model_that_the_server_has_not_is_refused_with_those_it_has(
    fake: FakeCompletions,
) -> None:
    with pytest.raises(EndpointError, match="found coder"):
        load_endpoint(replace(_endpoint(fake), model="other"))


def test_an_unknown_format_is_refused_by_its_setting(fake: FakeCompletions) -> None:
    with pytest.raises(CheckpointError, match=r"model\.fim_family"):
        load_endpoint(replace(_endpoint(fake), fim_family="klingon"))


def test_one_failed_row_is_its_own_and_three_are_the_servers(
    fake: FakeCompletions, engine: EndpointEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.status = 503
    for name in ("a", "b"):
        assert run_alone(engine, _request(engine, name)).reason is FinishReason.FAILED
    engine.add(_request(engine, "c"))
    with pytest.raises(EndpointError, match="fault of its own"):
        run_all(engine)
    assert not engine.has_work
    assert "secret_of_the_user" not in caplog.text
    assert "s3cret" not in caplog.text


def test_a_key_that_is_refused_meanwhile_is_told_at_once(
    fake: FakeCompletions, engine: EndpointEngine
) -> None:
    fake.status = 401
    engine.add(_request(engine))
    with pytest.raises(EndpointError, match="401"):
        run_all(engine)


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8080", True),
        ("https://gateway.example/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://192.168.0.7:8000/v1", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, is_loopback: bool) -> None:
    endpoint = Endpoint(url=url, model="m", key="s3cret")
    assert endpoint.is_loopback is is_loopback
    assert ("another machine" in endpoint.place) is not is_loopback
    assert "s3cret" not in repr(endpoint)


def test_the_model_says_where_text_goes(fake: FakeCompletions, engine: EndpointEngine) -> None:
    model = engine.model
    assert model.back_end is BackEnd.ENDPOINT
    assert model.sends_text_to == f"{fake.url[7:-3]} (on this machine)"
