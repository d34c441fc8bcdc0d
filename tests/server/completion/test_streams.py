"""Laws of generations that outlive their request: joined, given up, prepared, written on."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable

import pytest

from fimble_server.completion import completer as completer_module
from fimble_server.completion.answer import Answer
from fimble_server.completion.completer import Completer
from fimble_server.completion.inline_port import InlinePort
from fimble_server.completion.plan import Limits, Trigger
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.positions import CharOffset
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FakeEngine, Prompted
from fimble_testing.marked_text import snapshot_of

EAGER = Limits(eagerness=1.0)


def _completer(
    write: Callable[[Prompted], str] | str, *, looks_ahead: bool = False
) -> tuple[Completer, FakeEngine]:
    engine = FakeEngine((lambda _: write) if isinstance(write, str) else write)
    clock = ManualClock()
    port = InlinePort(engine=engine, clock=clock)
    return Completer(port=port, clock=clock, looks_ahead=looks_ahead), engine


async def _turns(n_turns: int) -> None:
    for _ in range(n_turns):
        await asyncio.sleep(0)


async def _rest(engine: FakeEngine) -> None:
    """Until nothing runs."""
    await _turns(8)
    while engine.has_work:
        await _turns(1)
    await _turns(8)


def _taken(snapshot: Snapshot, answer: Answer) -> Snapshot:
    """The snapshot after the first suggestion was taken."""
    shown = answer.suggestions[0]
    text = snapshot.buffer.text
    buffer = dataclasses.replace(
        snapshot.buffer, text=text[: shown.start] + shown.text + text[shown.end :], line_index=None
    )
    return dataclasses.replace(
        snapshot, buffer=buffer, cursor=CharOffset(shown.start + len(shown.text))
    )


@pytest.mark.parametrize("n_turns", [1, 3, 6, 20])
async def test_typing_along_a_running_generation_goes_on_with_it(n_turns: int) -> None:
    """However far it has come, also where the typing is ahead of it."""
    completer, engine = _completer("foo(a)\n")
    older = asyncio.create_task(completer.complete(snapshot_of("x = <|>"), EAGER))
    await _turns(n_turns)
    newer = await completer.complete(snapshot_of("x = foo<|>"), EAGER)
    assert newer is not None
    assert newer.suggestions[0].text == "(a)"
    assert newer.source == ("reuse" if older.done() and older.result() else "stream")
    assert len(engine.requests) == 1
    assert older.done() == (n_turns == 20) or await older is None


async def test_typing_against_a_running_generation_ends_it() -> None:
    completer, engine = _completer("foo(a)\n")
    older = asyncio.create_task(completer.complete(snapshot_of("x = <|>"), EAGER))
    await _turns(4)
    newer = await completer.complete(snapshot_of("x = b<|>"), EAGER)
    assert await older is None
    assert newer is not None
    assert newer.suggestions
    assert len(engine.requests) == 2
    await _rest(engine)
    assert len(engine.cancelled) == 1


async def test_what_diverges_later_is_asked_anew() -> None:
    """Typed ahead of the generation, which then writes something else."""
    completer, engine = _completer("foo(a)\n")
    asyncio.create_task(completer.complete(snapshot_of("x = <|>"), EAGER))  # noqa: RUF006
    await _turns(2)
    newer = await completer.complete(snapshot_of("x = foxes<|>"), EAGER)
    assert newer is not None
    assert newer.source == "model"
    assert len(engine.requests) == 2


async def test_a_cancelled_request_is_given_up_unless_the_next_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completer_module, "_GRACE_S", 0.0)
    completer, engine = _completer("foo(a)" * 200 + "\n")
    older = asyncio.create_task(completer.complete(snapshot_of("x = <|>"), EAGER))
    await _turns(4)
    older.cancel()
    with pytest.raises(asyncio.CancelledError):
        await older
    await _rest(engine)
    assert len(engine.cancelled) == 1


async def test_after_a_suggestion_is_taken_the_next_one_is_there() -> None:
    completer, engine = _completer("foo(a)\n", looks_ahead=True)
    snapshot = snapshot_of("x = <|>")
    answer = await completer.complete(snapshot, EAGER)
    assert answer is not None
    await _rest(engine)
    n_requests = len(engine.requests)
    after = await completer.complete(_taken(snapshot, answer), EAGER)
    assert after is not None
    assert after.source == "ahead"
    assert len(engine.requests) == n_requests == 2


async def test_looking_ahead_gives_way_to_whoever_waits() -> None:
    """Its row leaves the engine before another's second step."""
    written = iter(["foo(a)\n", "b" * 90, "baz\n"])
    completer, engine = _completer(lambda _: next(written), looks_ahead=True)
    assert await completer.complete(snapshot_of("x = <|>"), EAGER) is not None
    await _turns(6)
    assert len(engine.requests) == 2
    assert engine.has_work
    other = await completer.complete(snapshot_of("y = <|>", owner="another"), EAGER)
    assert other is not None
    assert other.suggestions[0].text == "baz"
    assert len(engine.cancelled) == 1


async def test_looking_ahead_does_not_begin_while_somebody_waits() -> None:
    completer, engine = _completer("foo(a)\n", looks_ahead=True)
    first, second = await asyncio.gather(
        completer.complete(snapshot_of("x = <|>"), EAGER),
        completer.complete(snapshot_of("yy = <|>", owner="another"), EAGER),
    )
    assert first is not None
    assert second is not None
    await _rest(engine)
    n_prompts = {len(request.prompt.token_ids) for request in engine.requests}
    assert len(engine.cancelled) == 0
    assert len(n_prompts) <= len(engine.requests) <= 4


async def test_where_time_runs_out_the_rest_follows_under_the_same_id() -> None:
    clock = ManualClock(ms_per_look=1.0)
    body = "a = 1\n    b = 2\n    return a + b\n"
    engine = FakeEngine(
        lambda prompted: body[len(prompted.prefix.partition("    ")[2]) :], clock=clock
    )
    port = InlinePort(engine=engine, clock=clock)
    completer = Completer(port=port, clock=clock, looks_ahead=True)
    limits = Limits(eagerness=1.0, exploration_deadline_ms=20.0)
    more: list[Answer] = []
    snapshot = dataclasses.replace(snapshot_of("def f():\n    <|>\n"), trigger=Trigger.INVOKED)
    answer = await completer.complete(snapshot, limits, more.append)
    assert answer is not None
    first = answer.suggestions[0]
    assert first.text == "a = 1\n    b = 2"
    await _rest(engine)
    (fuller,) = more
    assert fuller.suggestions[0].text == "a = 1\n    b = 2\n    return a + b"
    assert fuller.suggestions[0].suggestion_id == first.suggestion_id
    again = await completer.complete(snapshot, limits)
    assert again is not None
    assert again.suggestions == fuller.suggestions


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_shown_is_only_ever_lengthened_while_typing_agrees(seed: int) -> None:
    """Whatever the model would say now: it says something else each time it is asked."""
    rng = random.Random(seed)

    def write(prompted: Prompted) -> str:
        return "".join(rng.choice("abc(). ") for _ in range(rng.randrange(1, 9))) + "\n"

    completer, engine = _completer(write, looks_ahead=True)
    marked, shown = "x = <|>", ""
    for _ in range(12):
        task = asyncio.create_task(completer.complete(snapshot_of(marked), EAGER))
        await _turns(rng.randrange(4))
        answer = await task
        assert answer is not None
        text = answer.suggestions[0].text if answer.suggestions else ""
        assert text.startswith(shown)
        typed = text[: rng.randrange(len(text) + 1)]
        shown = text[len(typed) :] if typed else ""
        marked = marked.replace("<|>", f"{typed or 'z'}<|>")
        await _turns(rng.randrange(30))
    await _rest(engine)


async def test_what_was_typed_over_is_not_offered_there_again() -> None:
    completer, _ = _completer("foo(a)\n")
    here, over = snapshot_of("x = <|>"), snapshot_of("x = b<|>")
    for snapshot in (here, over):
        assert await completer.complete(snapshot, EAGER) is not None
    back = await completer.complete(here, EAGER)
    assert back is not None
    assert back.suggestions == ()
    assert [hidden.reason for hidden in back.hidden] == ["refused here before"]
    changed = await completer.complete(snapshot_of("y = <|>"), EAGER)
    assert changed is not None
    assert changed.suggestions
    asked = await completer.complete(dataclasses.replace(here, trigger=Trigger.INVOKED), EAGER)
    assert asked is not None
    assert asked.suggestions


async def test_typing_along_or_going_elsewhere_refuses_nothing() -> None:
    completer, _ = _completer("foo(a)\n")
    for marked in ("x = <|>", "x = f<|>", "x <|>= f", "x = <|>"):
        answer = await completer.complete(snapshot_of(marked), EAGER)
    assert answer is not None
    assert answer.suggestions
