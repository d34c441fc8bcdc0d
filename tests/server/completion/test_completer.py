"""Laws of the completer: one answer a request, the model asked no more than needed."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from fimble_model.engine.protocol import Finish, FinishReason
from fimble_server.completion.answer import Answer
from fimble_server.completion.completer import Completer
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.completion.inline_port import InlinePort
from fimble_server.completion.plan import Limits, Mode, Trigger
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import AppliedEdit
from fimble_server.document.history import History, note_edits
from fimble_server.document.positions import CharOffset
from fimble_server.errors import FimbleError, RequestError
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import (
    FAKE_MODEL,
    FakeEngine,
    FakePort,
    Prompted,
    finish_of,
    read_prompt,
)
from fimble_testing.marked_text import show_insertion, snapshot_of

EAGER = Limits(eagerness=1.0)


def _completer(text: str, **engine: float) -> tuple[Completer, FakePort]:
    port = FakePort(
        FakeEngine(lambda _: text, logprob=engine.get("logprob", -0.001)), clock=ManualClock()
    )
    return Completer(port=port, clock=ManualClock()), port


async def _ask(completer: Completer, snapshot: Snapshot, limits: Limits = EAGER) -> Answer:
    answer = await completer.complete(snapshot, limits)
    assert answer is not None
    return answer


def _show(answer: Answer, snapshot: Snapshot) -> str:
    """The buffer with the first suggestion in it."""
    shown = answer.suggestions[0]
    return show_insertion(
        snapshot.buffer.text, start=shown.start, end=shown.end, inserted=shown.text
    )


@pytest.mark.parametrize(
    ("marked", "written", "shown"),
    [
        ("x = foo(<|>)\n", "a, b)", "x = foo(⟦a, b⟧)\n"),
        ("def f(<|>):\n    pass\n", "self, x):", "def f(⟦self, x⟧):\n    pass\n"),
        ("def f():\r\n    x = <|>\r\n", "1\n    y = 2\n", "def f():\r\n    x = ⟦1⟧\r\n"),
        ("s = '😀' + <|>\n", "t\n", "s = '😀' + ⟦t⟧\n"),
        ("<|>", "import os\n", "⟦import os⟧"),
    ],
)
async def test_a_suggestion_fits_the_buffer(marked: str, written: str, shown: str) -> None:
    snapshot = snapshot_of(marked)
    completer, _ = _completer(written)
    answer = await _ask(completer, snapshot)
    assert _show(answer, snapshot) == shown
    assert answer.model == FAKE_MODEL
    assert answer.source == "model"


async def test_several_lines_take_the_line_ends_of_the_file() -> None:
    snapshot = dataclasses.replace(
        snapshot_of('def f():\r\n    """One and two."""\r\n    <|>\r\n'), trigger=Trigger.INVOKED
    )
    completer, _ = _completer("a = 1\n    return a\n")
    answer = await _ask(completer, snapshot)
    assert answer.suggestions[0].text == "a = 1\r\n    return a"
    assert answer.plan.mode is Mode.EXPLORATION


async def test_typing_along_and_asking_again_leave_the_model_alone() -> None:
    completer, port = _completer("foo(a)\n")
    first = await _ask(completer, snapshot_of("x = <|>"))
    again = await _ask(completer, snapshot_of("x = <|>"))
    along = await _ask(completer, snapshot_of("x = fo<|>"))
    back = await _ask(completer, snapshot_of("x = f<|>"))
    assert again.suggestions == first.suggestions
    assert [along.suggestions[0].text, back.suggestions[0].text] == ["o(a)", "oo(a)"]
    assert {along.source, again.source} == {"reuse"}
    assert len(port.jobs) == 1


async def test_what_is_reused_is_what_the_model_would_have_said() -> None:
    """A model that always writes the same line says the rest of it; so does reuse."""
    line = "total = sum(values)\n"

    def write(prompted: Prompted) -> str:
        return line[len(prompted.prefix.rpartition("\n")[2]) :]

    for n_typed in range(1, 18):
        port = FakePort(FakeEngine(write))
        warm = Completer(port=port, clock=ManualClock())
        await _ask(warm, snapshot_of("def f():\n<|>"))
        now = snapshot_of(f"def f():\n{line[:n_typed]}<|>")
        cold = Completer(port=FakePort(FakeEngine(write)), clock=ManualClock())
        fresh = await _ask(cold, now)
        reused = await _ask(warm, now)
        assert [each.text for each in reused.suggestions] == [
            each.text for each in fresh.suggestions
        ] or not fresh.plan.wanted


async def test_owners_do_not_share_what_is_remembered() -> None:
    completer, port = _completer("foo")
    await _ask(completer, snapshot_of("x = <|>", owner="one"))
    await _ask(completer, snapshot_of("x = <|>", owner="two"))
    assert [job.owner for job in port.jobs] == ["one", "two"]


async def test_new_dials_and_forgetting_ask_anew() -> None:
    completer, port = _completer("foo")
    snapshot = snapshot_of("x = <|>")
    await _ask(completer, snapshot)
    await _ask(completer, snapshot, Limits(eagerness=0.9))
    completer.forget(snapshot.owner)
    await _ask(completer, snapshot, Limits(eagerness=0.9))
    assert len(port.jobs) == 3


async def test_a_replaced_request_is_answered_with_none() -> None:
    port = FakePort(FakeEngine(lambda _: "foo"), is_replaced=True)
    completer = Completer(port=port, clock=ManualClock())
    assert await completer.complete(snapshot_of("x = <|>"), EAGER) is None


async def test_of_two_requests_of_an_owner_the_newer_is_answered() -> None:
    engine = FakeEngine(lambda _: "foo(bar)")
    clock = ManualClock()
    completer = Completer(port=InlinePort(engine=engine, clock=clock), clock=clock)
    older, newer = await asyncio.gather(
        completer.complete(snapshot_of("x = <|>"), EAGER),
        completer.complete(snapshot_of("x = y.<|>"), EAGER),
    )
    assert older is None
    assert newer is not None
    assert newer.suggestions
    assert not engine.has_work


async def test_a_row_that_failed_is_an_empty_answer_and_is_not_remembered() -> None:
    port = FakePort(FakeEngine(lambda _: "foo", is_failing=True))
    completer = Completer(port=port, clock=ManualClock())
    for _ in range(2):
        answer = await _ask(completer, snapshot_of("x = <|>"))
        assert answer.suggestions == ()
        assert [hidden.reason for hidden in answer.hidden] == ["the engine failed"]
    assert len(port.jobs) == 2


async def test_the_unsure_is_held_back_with_the_reason() -> None:
    completer, _ = _completer("foo", logprob=-0.52)
    answer = await _ask(completer, snapshot_of("x = <|>"), Limits(eagerness=0.5))
    assert answer.suggestions == ()
    assert answer.hidden[0].text == "foo"
    assert answer.hidden[0].reason.startswith("not confident (0.21 < ")


async def test_where_nothing_is_wanted_the_model_is_not_asked() -> None:
    completer, port = _completer("foo")
    edit = AppliedEdit(start=CharOffset(4), removed="y", inserted="")
    history = note_edits(History(), [edit], 0.0)
    answer = await _ask(completer, dataclasses.replace(snapshot_of("x = <|>"), history=history))
    assert not answer.plan.wanted
    assert (answer.suggestions, answer.source, port.jobs) == ((), "none", [])


async def test_a_selected_item_of_the_suggest_list_begins_the_suggestion() -> None:
    snapshot = dataclasses.replace(
        snapshot_of("x.fo<|>\n"), selected_text="format", selected_start=CharOffset(2)
    )
    engine = FakeEngine(lambda _: "(y)\n")
    answer = await _ask(Completer(port=FakePort(engine), clock=ManualClock()), snapshot)
    assert _show(answer, snapshot) == "x.⟦format(y)⟧\n"
    assert read_prompt(engine.requests[0].prompt).prefix == "x.format"


async def test_an_explicit_request_gets_the_candidates_it_asks_for() -> None:
    texts = iter(["a = 1\n", "b = 2\n", "a = 1\n"])
    completer = Completer(port=FakePort(FakeEngine(lambda _: next(texts))), clock=ManualClock())
    snapshot = dataclasses.replace(
        snapshot_of("def f():\n    <|>\n"), trigger=Trigger.INVOKED, n_candidates=3
    )
    answer = await _ask(completer, snapshot)
    assert [each.text for each in answer.suggestions] == ["a = 1", "b = 2"]
    assert [each.reason for each in answer.hidden] == ["the same as another candidate"]
    assert len({each.suggestion_id for each in answer.suggestions}) == 2


async def test_a_refused_request_raises_what_the_user_can_mend() -> None:
    class _Refusing(FakePort):
        async def generate(self, job: Job) -> Generation | None:
            raise RequestError(expected="a", found="b", to_do="c.")

    completer = Completer(port=_Refusing(FakeEngine(lambda _: "")), clock=ManualClock())
    with pytest.raises(FimbleError):
        await completer.complete(snapshot_of("x = <|>"), EAGER)


async def test_the_prompt_is_built_where_the_engine_runs() -> None:
    """Handing a job in tokenizes nothing: until somebody calls `build`, no codec is touched."""

    class _Canned(FakePort):
        async def generate(self, job: Job) -> Generation | None:
            finish: Finish = finish_of("foo", reason=FinishReason.END_TOKEN)
            return Generation(finishes=(finish,), model=FAKE_MODEL)

    engine = FakeEngine(lambda _: "")
    completer = Completer(port=_Canned(engine), clock=ManualClock())
    answer = await _ask(completer, snapshot_of("x = <|>"))
    assert answer.suggestions[0].text == "foo"
    assert engine.requests == []


async def test_odd_places_and_texts_are_answered() -> None:
    for marked in ("<|>", "\r<|>\n", "\ud83d<|>", "a" * 20_000 + "<|>b", "\t\f\u2028<|>\v"):
        completer, _ = _completer("x\n")
        snapshot = snapshot_of(marked)
        for cursor in (snapshot.cursor, CharOffset(-5), CharOffset(10**6)):
            await _ask(completer, dataclasses.replace(snapshot, cursor=cursor))
