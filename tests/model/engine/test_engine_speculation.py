"""The law of speculation: speculative equals plain, token for token, whatever is drafted."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import (
    Finish,
    FinishReason,
    Prompt,
    Request,
    RequestId,
    Sampling,
    TokenId,
)
from fimble_model.engine.scheduler import PassLimits
from fimble_model.engine.speculation import FindMatches, SpeculationPort
from fimble_model.engine.stopping import StopAfterLines
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
SAMPLINGS = [Sampling(), Sampling(temperature=0.9, top_p=0.95, seed=5)]
IDS = ["greedy", "sampled"]

Script = Callable[[int, int], Sequence[int]]


@dataclass
class _Scripted:
    """Implements `SpeculationPort`: what it drafts is a function of what its row has decided."""

    script: Script
    n_proposals: int = 0

    def drafter(
        self,
        prompt_ids: Sequence[TokenId],
        *,
        client: str,
        owner: str,
        context_ids: Sequence[TokenId],
        find: FindMatches | None,
        n_most_new: int,
    ) -> _ScriptedDrafter:
        return _ScriptedDrafter(self)


@dataclass
class _ScriptedDrafter:
    speculation: _Scripted
    read_ids: list[TokenId] = field(default_factory=list)
    n_guesses: int = 0

    def read(self, token_id: TokenId) -> None:
        self.read_ids.append(token_id)

    def propose(self, n_most: int, least_probability: float) -> list[TokenId]:
        self.speculation.n_proposals += 1
        return [TokenId(each) for each in self.speculation.script(len(self.read_ids), n_most)]

    def learn(self, decided_ids: Sequence[TokenId]) -> None:
        self.read_ids += decided_ids


def _engine(
    style: str = "fimble", *, speculation: SpeculationPort | None = None, speculates: bool = True
) -> NativeEngine:
    engine = build_engine(style=style, speculation=speculation, speculates=speculates)
    engine.remember("mine", "file", TRAINING_TEXT)
    return engine


def _request(
    engine: NativeEngine,
    n_chars: int,
    *,
    name: str = "row",
    sampling: Sampling | None = None,
    max_new_tokens: int = 24,
    has_memory: bool = True,
    n_lines: int | None = None,
) -> Request:
    prompt = engine.codec.encode_fim(
        prefix=TRAINING_TEXT[max(n_chars - 250, 0) : n_chars],
        suffix=TRAINING_TEXT[n_chars : n_chars + 60],
    )
    request = build_request(
        name,
        prompt,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        memory_scope="mine" if has_memory else None,
        stop=StopAfterLines(n_lines) if n_lines else None,
    )
    return replace(request, speculates=True)


def _assert_equal(found: Finish, plain: Finish) -> None:
    assert found.text == plain.text
    assert found.reason == plain.reason
    assert [token.token_id for token in found.tokens] == [t.token_id for t in plain.tokens]
    assert [token.char_end for token in found.tokens] == [t.char_end for t in plain.tokens]
    assert [token.logprob for token in found.tokens] == pytest.approx(
        [token.logprob for token in plain.tokens], abs=1e-3
    )


def _n_decided(finish: Finish) -> int:
    """Tokens that were drawn: those of the middle, and the one that said it ends."""
    return len(finish.tokens) + (finish.reason is FinishReason.END_TOKEN)


def _assert_counts_add_up(finish: Finish) -> None:
    n_decode_passes = finish.n_passes - finish.n_prefill_passes
    assert _n_decided(finish) == 1 + n_decode_passes + finish.n_accepted_tokens
    assert 0 <= finish.n_accepted_tokens <= finish.n_drafted_tokens


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=IDS)
@pytest.mark.parametrize("has_memory", [True, False], ids=["memory", "no memory"])
def test_speculative_equals_plain(style: str, sampling: Sampling, has_memory: bool) -> None:
    """From within words too, so that healing comes first."""
    fast, plain = _engine(style), _engine(style, speculates=False)
    n_accepted = 0
    for n_chars in range(400, 405):
        request = _request(fast, n_chars, sampling=sampling, has_memory=has_memory)
        finish, expected = run_alone(fast, request), run_alone(plain, request)
        _assert_equal(finish, expected)
        _assert_counts_add_up(finish)
        _assert_counts_add_up(expected)
        assert expected.n_drafted_tokens == 0
        n_accepted += finish.n_accepted_tokens
    # A random network's samples cannot be foreseen; its likeliest tokens go round in circles.
    assert n_accepted > 0 or sampling.temperature > 0


@settings(max_examples=8, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(100, 900), st.booleans()), min_size=1, max_size=5),
    arrivals=st.lists(st.integers(0, 3), min_size=5, max_size=5),
    max_tokens=st.integers(8, 120),
    seed=st.integers(0, 99),
)
def test_speculative_equals_plain_under_random_schedules(
    rows: list[tuple[int, bool]], arrivals: list[int], max_tokens: int, seed: int
) -> None:
    """Rows come at any time, some sampled, with drafts that are right, wrong or half right."""
    chance = random.Random(seed)
    expected: dict[str, Finish] = {}
    plain = _engine(speculates=False)
    requests = []
    for index, (n_chars, is_sampled) in enumerate(rows):
        sampling = SAMPLINGS[is_sampled]
        request = _request(plain, n_chars, name=str(index), sampling=sampling, max_new_tokens=12)
        requests.append(request)
        expected[str(index)] = run_alone(plain, request)
    right = {name: [token.token_id for token in f.tokens] for name, f in expected.items()}
    drafts = list(right.values())

    def script(n_read: int, n_most: int) -> list[int]:
        whole = chance.choice(drafts)[n_read:][:n_most]
        return [each if chance.random() < 0.8 else each // 2 for each in whole]

    engine = build_engine(
        speculation=_Scripted(script), limits=PassLimits(max_rows=3, max_tokens=max_tokens)
    )
    engine.remember("mine", "file", TRAINING_TEXT)
    finishes: dict[str, Finish] = {}
    for request, n_steps in zip(requests, arrivals, strict=False):
        engine.add(request)
        for _ in range(n_steps):
            finishes |= {d.request_id: d.finish for d in engine.step() if d.finish}
    finishes |= {
        name: finish for name, each in run_all(engine).items() if (finish := last_of(each))
    }
    for name, plain_finish in expected.items():
        _assert_equal(finishes[name], plain_finish)
        _assert_counts_add_up(finishes[name])
    assert engine.n_rows_in_use == 0


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=IDS)
def test_a_drafter_that_is_always_right_saves_its_passes(sampling: Sampling) -> None:
    request = _request(_engine(), 600, sampling=sampling, max_new_tokens=25)
    plain = run_alone(_engine(speculates=False), request)
    right = [token.token_id for token in plain.tokens]
    finish = run_alone(
        _engine(speculation=_Scripted(lambda n_read, n_most: right[n_read:][: min(n_most, 7)])),
        request,
    )
    _assert_equal(finish, plain)
    _assert_counts_add_up(finish)
    n_after_first = _n_decided(plain) - 1
    assert finish.n_passes - finish.n_prefill_passes == -(-n_after_first // 8)


def _unhealed(request: Request) -> Request:
    return replace(request, prompt=replace(request.prompt, healing_text=""))


@pytest.mark.parametrize("has_memory", [True, False], ids=["memory", "no memory"])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=IDS)
def test_the_pass_that_ends_a_known_prompt_checks_drafts_too(
    sampling: Sampling, has_memory: bool
) -> None:
    request = _unhealed(_request(_engine(), 600, sampling=sampling, has_memory=has_memory))
    plain = run_alone(_engine(speculates=False), request)
    right = [token.token_id for token in plain.tokens]
    engine = _engine(speculation=_Scripted(lambda n_read, n_most: right[n_read:][: min(n_most, 7)]))
    new = run_alone(engine, request)
    known = run_alone(engine, request)
    _assert_equal(new, plain)
    _assert_equal(known, plain)
    _assert_counts_add_up(known)
    assert known.n_prefill_passes == 1
    assert known.n_passes == -(-_n_decided(plain) // 8)


@given(seed=st.integers(0, 2**16), n_right=st.integers(0, 9))
@settings(max_examples=25)
def test_drafts_beside_a_prompt_change_no_token(seed: int, n_right: int) -> None:
    request = _unhealed(_request(_engine(), 600 + seed % 40, sampling=SAMPLINGS[seed % 2]))
    plain = run_alone(_engine(speculates=False), request)
    right = [token.token_id for token in plain.tokens]
    chance = random.Random(seed)

    def script(n_read: int, n_most: int) -> list[int]:
        wrong = [chance.randrange(TINY_CONFIG.vocabulary_size) for _ in range(3)]
        return [*right[n_read:][:n_right], *wrong][:n_most]

    engine = _engine(speculation=_Scripted(script))
    for finish in (run_alone(engine, request), run_alone(engine, request)):
        _assert_equal(finish, plain)
        _assert_counts_add_up(finish)
    assert engine.n_rows_in_use == 0


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=IDS)
def test_a_drafter_that_is_always_wrong_costs_no_pass_and_changes_nothing(
    sampling: Sampling,
) -> None:
    request = _request(_engine(), 600, sampling=sampling)
    plain = run_alone(_engine(speculates=False), request)
    decided = [token.token_id for token in plain.tokens]

    def wrong(n_read: int, n_most: int) -> list[int]:
        right = decided[n_read] if n_read < len(decided) else 0
        return [(right + 1) % TINY_CONFIG.vocabulary_size] * min(n_most, 5)

    finish = run_alone(_engine(speculation=_Scripted(wrong)), request)
    _assert_equal(finish, plain)
    assert finish.n_accepted_tokens == 0
    assert finish.n_passes == plain.n_passes


@pytest.mark.parametrize("n_lines", [1, 2])
def test_tokens_after_a_stop_are_thrown_away(n_lines: int) -> None:
    request = _request(_engine(), 640, n_lines=n_lines, max_new_tokens=60)
    plain = run_alone(_engine(speculates=False), request)
    longer = run_alone(_engine(speculates=False), _request(_engine(), 640, max_new_tokens=60))
    right = [token.token_id for token in longer.tokens]
    finish = run_alone(
        _engine(speculation=_Scripted(lambda n_read, n_most: right[n_read:][:n_most])), request
    )
    _assert_equal(finish, plain)
    _assert_counts_add_up(finish)


def test_what_a_speculative_row_leaves_in_the_cache_is_as_good_as_new() -> None:
    """Rolled back drafts leave no slot behind that a later prompt could trip over."""
    warm = _engine(speculation=_Scripted(lambda n_read, n_most: [7, 8, 9][:n_most]))
    for n_chars in range(600, 606):
        request = _request(warm, n_chars)
        _assert_equal(run_alone(warm, request), run_alone(_engine(speculates=False), request))


def test_drafts_stay_within_the_context_and_the_token_limit() -> None:
    engine = _engine(speculation=_Scripted(lambda n_read, n_most: [7] * (n_most + 50)))
    token_ids = engine.codec.encode(TRAINING_TEXT * 2)[: TINY_CONFIG.max_positions - 3]
    full = build_request("full", Prompt(token_ids=tuple(token_ids)), max_new_tokens=50)
    plain = run_alone(_engine(speculates=False), full)
    finish = run_alone(engine, full)
    _assert_equal(finish, plain)
    assert finish.reason is FinishReason.CONTEXT_FULL
    short = _request(engine, 600, max_new_tokens=3)
    assert len(run_alone(engine, short).tokens) <= 3


def test_a_drafter_that_throws_costs_its_row_the_drafts_and_not_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def throw(n_read: int, n_most: int) -> list[int]:
        raise LookupError(SECRET)

    speculation = _Scripted(throw)
    request = _request(_engine(), 600)
    plain = run_alone(_engine(speculates=False), request)
    with caplog.at_level(logging.ERROR):
        _assert_equal(run_alone(_engine(speculation=speculation), request), plain)
    assert speculation.n_proposals == 1, "a drafter that threw is not asked again"
    assert "LookupError" in caplog.text
    assert SECRET not in caplog.text


def test_a_full_batch_leaves_no_place_for_drafts() -> None:
    limits = PassLimits(max_rows=8, max_tokens=8)
    engine = build_engine(limits=limits, speculation=_Scripted(lambda n_read, n_most: [7] * n_most))
    requests = [
        _request(engine, 300 + 40 * index, name=str(index), has_memory=False, max_new_tokens=6)
        for index in range(8)
    ]
    for request in requests:
        engine.add(request)
    while any(engine.step()) or engine.has_work:
        n_before = engine.work.n_pass_tokens
        engine.step()
        assert engine.work.n_pass_tokens - n_before <= limits.max_tokens


def test_cancelling_a_row_with_drafts_frees_its_slots_within_one_step() -> None:
    engine = _engine(speculation=_Scripted(lambda n_read, n_most: [7] * min(n_most, 4)))
    engine.add(_request(engine, 600))
    for _ in range(4):
        engine.step()
    engine.cancel(RequestId("row"))
    (delta,) = engine.step()
    assert delta.finish
    assert delta.finish.reason is FinishReason.CANCELLED
    assert engine.n_rows_in_use == 0
