"""The life of rows: one finish each, no slot leaked, faults and cancellation stay their own."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine import ragged_pass
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import (
    FinishReason,
    Prompt,
    Request,
    RequestId,
    Sampling,
    TokenId,
)
from fimble_model.engine.scheduler import PassLimits
from fimble_model.engine.stopping import StopAfterLines
from fimble_model.errors import RequestError
from fimble_model.network.device import Dtype
from fimble_testing.clocks import ManualClock
from fimble_testing.tiny_engines import (
    TINY_CONFIG,
    build_engine,
    build_request,
    last_of,
    run_all,
    run_alone,
)
from fimble_testing.tiny_tokenizers import STYLES, TRAINING_TEXT

SECRET = "the user's own text"


def _prompt(engine: NativeEngine, n_chars: int = 600) -> Prompt:
    return engine.codec.encode_fim(
        prefix=TRAINING_TEXT[max(n_chars - 200, 0) : n_chars], suffix=TRAINING_TEXT[n_chars:][:100]
    )


@dataclass(frozen=True)
class ThrowAfter:
    """A stop rule with a fault; its message holds text that must not be logged."""

    n_chars: int

    def n_chars_to_keep(self, middle: str) -> int | None:
        if len(middle) >= self.n_chars:
            raise LookupError(SECRET)
        return None


@dataclass(frozen=True)
class KeepChars:
    """Stops as soon as `n_chars` are there, and keeps exactly them."""

    n_chars: int

    def n_chars_to_keep(self, middle: str) -> int | None:
        return self.n_chars if len(middle) >= self.n_chars else None


def test_an_engine_without_work_does_nothing() -> None:
    engine = build_engine()
    assert not engine.has_work
    assert engine.step() == []
    engine.cancel(RequestId("unknown"))
    assert engine.step() == []


def test_a_step_streams_the_text_that_the_finish_holds() -> None:
    engine = build_engine(speculates=False)
    deltas = run_all(engine, [build_request("a", _prompt(engine), max_new_tokens=20)])["a"]
    finish = last_of(deltas)
    assert finish
    assert len(deltas) > 3
    assert "".join(delta.text for delta in deltas) == finish.text
    assert engine.codec.decode([token.token_id for token in finish.tokens]).endswith(finish.text)
    assert finish.tokens[-1].char_end == len(finish.text)
    assert all(token.logprob <= 1e-4 for token in finish.tokens)


def test_max_new_tokens_ends_a_row() -> None:
    engine = build_engine()
    finish = run_alone(engine, build_request("a", _prompt(engine), max_new_tokens=3))
    assert finish.reason in (FinishReason.LENGTH, FinishReason.END_TOKEN)
    assert len(finish.tokens) <= 3


def test_a_stop_rule_cuts_and_nothing_is_computed_after_it() -> None:
    engine = build_engine()
    whole = run_alone(engine, build_request("whole", _prompt(engine), max_new_tokens=30))
    n_kept = whole.tokens[4].char_end - 1
    cut = run_alone(
        engine, build_request("cut", _prompt(engine), max_new_tokens=30, stop=KeepChars(n_kept))
    )
    assert cut.reason is FinishReason.STOP_RULE
    assert cut.text == whole.text[:n_kept]
    assert len(cut.tokens) <= 5


def test_a_full_context_ends_a_row() -> None:
    engine = build_engine()
    token_ids = engine.codec.encode(TRAINING_TEXT * 2)[: TINY_CONFIG.max_positions - 3]
    request = build_request("a", Prompt(token_ids=tuple(token_ids)), max_new_tokens=50)
    finish = run_alone(engine, request)
    assert finish.reason is FinishReason.CONTEXT_FULL
    assert len(finish.tokens) == 4


@pytest.mark.parametrize(
    "token_ids",
    [
        [TokenId(1)] * TINY_CONFIG.max_positions,
        [TokenId(TINY_CONFIG.vocabulary_size)],
        [TokenId(-1)],
    ],
    ids=["too long", "id too high", "id too low"],
)
def test_an_impossible_request_is_refused_and_leaves_no_row(token_ids: list[TokenId]) -> None:
    engine = build_engine()
    with pytest.raises(RequestError):
        engine.add(build_request("a", Prompt(token_ids=tuple(token_ids))))
    assert not engine.has_work


@pytest.mark.parametrize("n_steps", [0, 1, 2, 5])
def test_cancelling_a_row_frees_its_slots_within_one_step(n_steps: int) -> None:
    engine = build_engine(limits=PassLimits(max_rows=4, max_tokens=64))
    engine.add(build_request("a", _prompt(engine), max_new_tokens=100))
    for _ in range(n_steps):
        engine.step()
    engine.cancel(RequestId("a"))
    (delta,) = engine.step()
    assert delta.finish
    assert delta.finish.reason is FinishReason.CANCELLED
    assert not engine.has_work
    assert engine.n_rows_in_use == 0


def test_a_throwing_stop_rule_fails_its_row_alone(caplog: pytest.LogCaptureFixture) -> None:
    engine = build_engine()
    sound = build_request("sound", _prompt(engine, 500))
    alone = run_alone(engine, sound)
    faulty = build_request("faulty", _prompt(engine, 800), stop=ThrowAfter(3))
    with caplog.at_level(logging.ERROR):
        deltas = run_all(engine, [sound, faulty])
    finish = last_of(deltas["faulty"])
    assert finish
    assert finish.reason is FinishReason.FAILED
    assert last_of(deltas["sound"]).text == alone.text  # type: ignore[union-attr]  # asserted there
    assert "LookupError" in caplog.text
    assert SECRET not in caplog.text
    assert engine.n_rows_in_use == 0


def test_a_rule_that_keeps_more_than_there_is_fails_its_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class KeepTooMuch:
        def n_chars_to_keep(self, middle: str) -> int | None:
            return len(middle) + 1

    engine = build_engine()
    finish = run_alone(engine, build_request("a", _prompt(engine), stop=KeepTooMuch()))
    assert finish.reason is FinishReason.FAILED
    assert "ValueError" in caplog.text


def test_a_failing_pass_ends_its_rows_and_the_engine_lives(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build_engine()
    with monkeypatch.context() as patched:
        patched.setattr(
            "fimble_model.engine.ragged_pass.run_pass",
            lambda *_: (_ for _ in ()).throw(MemoryError),
        )
        finish = run_alone(engine, build_request("a", _prompt(engine)))
    assert finish.reason is FinishReason.FAILED
    assert "MemoryError" in caplog.text
    assert engine.n_rows_in_use == 0
    assert run_alone(engine, build_request("b", _prompt(engine))).tokens


@pytest.mark.parametrize(
    "fault", [MemoryError(), torch.OutOfMemoryError(), RuntimeError("can't allocate memory: 9")]
)
def test_out_of_memory_costs_the_kept_prefixes_and_not_the_row(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, run_pass = build_engine(), ragged_pass.run_pass
    request = build_request("a", _prompt(engine))
    plain = run_alone(build_engine(), request)
    run_alone(engine, build_request("before", _prompt(engine, 900)))
    n_bytes = engine.n_cache_bytes
    faults = [fault]

    def run_short_of_memory(*arguments: Any) -> list[torch.Tensor]:
        if faults:
            raise faults.pop()
        return run_pass(*arguments)

    monkeypatch.setattr(ragged_pass, "run_pass", run_short_of_memory)
    finish = run_alone(engine, request)
    assert finish.text == plain.text
    assert finish.reason == plain.reason
    assert not faults
    again = run_alone(engine, build_request("again", _prompt(engine, 900)))
    assert again.n_reused_tokens < 10, "the prefix kept before was not dropped"
    assert engine.n_cache_bytes <= 2 * n_bytes


def test_a_pass_too_large_for_memory_is_computed_in_parts_with_the_same_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However small the parts must be, down to single tokens."""
    plain, run_pass, sizes = build_engine(), ragged_pass.run_pass, []
    requests = [build_request(f"at {n}", _prompt(plain, n)) for n in (500, 640, 777)]
    expected = {name: last_of(deltas) for name, deltas in run_all(plain, requests).items()}

    def run_little(transformer: Any, pool: Any, pieces: Any) -> list[torch.Tensor]:
        sizes.append(sum(len(piece.token_ids) for piece in pieces))
        if sizes[-1] > 9:
            raise torch.OutOfMemoryError
        return run_pass(transformer, pool, pieces)

    monkeypatch.setattr(ragged_pass, "run_pass", run_little)
    found = run_all(build_engine(), requests)
    for name, deltas in found.items():
        finish, plainly = last_of(deltas), expected[name]
        assert finish is not None
        assert plainly is not None
        assert (finish.text, finish.reason) == (plainly.text, plainly.reason)
    assert any(size <= 9 for size in sizes)


class TickingClock:
    """A millisecond later at every look."""

    def __init__(self) -> None:
        self.n_looks = 0

    def now_ms(self) -> float:
        self.n_looks += 1
        return float(self.n_looks)


def test_times_are_told_apart_and_add_up() -> None:
    clock = TickingClock()
    engine = build_engine(clock=clock)
    finish = run_alone(engine, build_request("a", _prompt(engine)))
    assert min(finish.queue_ms, finish.prefill_ms, finish.decode_ms) > 0
    assert finish.queue_ms + finish.prefill_ms + finish.decode_ms == clock.n_looks - 1
    engine.add(build_request("b", _prompt(engine)))
    engine.cancel(RequestId("b"))
    (delta,) = engine.step()
    assert delta.finish
    assert delta.finish.queue_ms > 0
    assert delta.finish.prefill_ms == delta.finish.decode_ms == 0


def test_a_row_past_its_deadline_ends_within_one_step_and_keeps_what_it_has() -> None:
    clock = ManualClock()
    engine = build_engine(clock=clock, speculates=False)
    late = dataclasses.replace(build_request("late", _prompt(engine)), deadline_ms=50.0)
    patient = build_request("patient", _prompt(engine, 700))
    whole = run_alone(build_engine(), build_request("late", _prompt(engine)))
    engine.add(late)
    engine.add(patient)
    streamed = "".join(delta.text for _ in range(4) for delta in engine.step() if delta.text)
    assert streamed
    clock.advance(50.0)
    deltas = {delta.request_id: delta for delta in engine.step()}
    finish = deltas[RequestId("late")].finish
    assert finish
    assert finish.reason is FinishReason.DEADLINE
    assert whole.text.startswith(finish.text)
    assert 0 < len(finish.tokens) < len(whole.tokens)
    rest = run_all(engine)
    assert list(rest) == ["patient"]
    assert engine.n_rows_in_use == 0


def test_a_row_whose_deadline_is_past_ends_before_it_costs_anything() -> None:
    engine = build_engine(clock=ManualClock(now_ms=10.0))
    engine.add(dataclasses.replace(build_request("a", _prompt(engine)), deadline_ms=10.0))
    (delta,) = engine.step()
    assert delta.finish
    assert delta.finish.reason is FinishReason.DEADLINE
    assert engine.work.n_passes == 0


def test_the_finish_counts_what_a_row_cost() -> None:
    engine = build_engine(limits=PassLimits(max_rows=4, max_tokens=64))
    prompt = _prompt(engine)
    first = run_alone(engine, build_request("a", prompt))
    n_prompt = len(prompt.token_ids)
    assert first.n_prefilled_tokens == first.n_prompt_tokens == n_prompt
    assert first.n_prefill_passes >= n_prompt // 64
    assert first.n_passes == engine.work.n_passes
    second = run_alone(engine, build_request("b", prompt))
    assert second.n_prefilled_tokens == n_prompt - second.n_reused_tokens == 1
    assert first.n_passes + second.n_passes == engine.work.n_passes


def test_half_precision_keeps_the_life_of_rows() -> None:
    """What a GPU runs: other attention, other buffers, the same bookkeeping."""
    engine = build_engine(dtype=Dtype.BFLOAT16)
    for n_chars in range(600, 606):
        finish = run_alone(engine, build_request("a", _prompt(engine, n_chars)))
        assert finish.reason in (FinishReason.LENGTH, FinishReason.END_TOKEN)
    assert engine.n_rows_in_use == 0


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=25, deadline=None)
@given(n_chars=st.integers(20, 1000), seed=st.integers(0, 3))
def test_healed_text_is_spelled_and_not_repeated(style: str, n_chars: int, seed: int) -> None:
    """Prefix, healing chain and tokens together begin with the prefix; the middle follows it."""
    engine = build_engine(style=style)
    prefix = TRAINING_TEXT[max(n_chars - 60, 0) : n_chars]
    prompt = engine.codec.encode_fim(prefix=prefix, suffix="")
    finish = run_alone(
        engine, build_request("a", prompt, sampling=Sampling(temperature=1.5, seed=seed))
    )
    if not finish.tokens:
        return
    spelled = engine.codec.decode([token.token_id for token in finish.tokens])
    overlap = spelled[: len(spelled) - len(finish.text)]
    assert prompt.healing_text.endswith(overlap)
    assert spelled == overlap + finish.text


actions = st.lists(
    st.tuples(st.sampled_from(("add", "cancel", "step")), st.integers(0, 5)), max_size=30
)


@settings(max_examples=30, deadline=None)
@given(actions=actions, max_rows=st.integers(1, 3), max_tokens=st.integers(1, 80))
def test_random_schedules_leak_nothing_and_finish_each_row_once(
    actions: list[tuple[str, int]], max_rows: int, max_tokens: int
) -> None:
    engine = build_engine(
        limits=PassLimits(max_rows=max_rows, max_tokens=max_tokens), budget_bytes=3 * 2**16
    )
    finished: dict[str, int] = {}
    n_added = 0

    def step() -> None:
        for delta in engine.step():
            if delta.finish:
                finished[delta.request_id] = finished.get(delta.request_id, 0) + 1
        assert engine.n_rows_in_use <= max_rows
        assert engine.n_cache_bytes <= 3 * 2**16

    for action, number in actions:
        if action == "add":
            engine.add(_small_request(engine, f"{n_added}", number))
            n_added += 1
        elif action == "cancel":
            engine.cancel(RequestId(f"{n_added - 1 - number}"))
        else:
            step()
    for _ in range(40 * (n_added + 1)):
        step()
    assert not engine.has_work
    assert finished == {f"{index}": 1 for index in range(n_added)}
    assert engine.n_rows_in_use == 0


def _small_request(engine: NativeEngine, request_id: str, number: int) -> Request:
    prompt = engine.codec.encode_fim(prefix=TRAINING_TEXT[: 20 + 9 * number], suffix="")
    return build_request(
        request_id, prompt, max_new_tokens=1 + number, stop=StopAfterLines(1 + number)
    )
