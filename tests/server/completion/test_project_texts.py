"""What enters the project memory, by which door, and when: law 6 first of all."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import RequestId
from fimble_server.completion.completer import Completer
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.completion.inline_port import InlinePort
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Limits
from fimble_server.completion.project_texts import ProjectTexts, feed, gather_texts
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer
from fimble_server.document.positions import CharOffset
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FakeEngine, FakePort
from fimble_testing.marked_text import snapshot_of


def _buffer(uri: str, text: str = "secret = 'hunter2'\n") -> Buffer:
    return Buffer(uri=uri, language_id="python", version=1, text=text)


def _remembering(marked: str, *neighbours: Buffer) -> Snapshot:
    snapshot = snapshot_of(marked)
    return dataclasses.replace(snapshot, neighbours=neighbours, memory_scope="one client")


def _gathered(snapshot: Snapshot) -> ProjectTexts:
    texts = gather_texts(snapshot, page_of(snapshot))
    assert texts is not None
    return texts


@pytest.mark.parametrize(
    "uri",
    [
        "file:///shop/.env",
        "file:///shop/%2Eenv.local",
        "file:///home/me/.ssh/id_rsa",
        "file:///shop/server.pem",
        "git:/shop/.env?ref=HEAD",
    ],
)
def test_no_secret_file_enters_the_memory(uri: str) -> None:
    """Neither as a neighbour nor as the buffer itself."""
    beside = _gathered(_remembering("x = <|>\n", _buffer(uri)))
    assert {text.key for text in beside.texts} == {"file:///marked", "file:///marked#below"}
    itself = dataclasses.replace(_remembering("<|>"), buffer=_buffer(uri))
    assert _gathered(itself).texts == ()


def test_the_text_above_the_line_is_last_after_that_below_and_all_is_fed_with_line_feeds() -> None:
    snapshot = _remembering("a\r\nb = <|>c\r\nd\r\n", _buffer("file:///other", "e\r\nf\r"))
    texts, engine = _gathered(snapshot), FakeEngine(lambda _: "")
    assert [text.key for text in texts.texts][1::2] == ["file:///other", "file:///marked"]
    assert texts.key == "file:///marked"
    feed(engine, texts)
    assert engine.memory == {
        "one client": {
            "file:///other": "e\nf\n",
            "file:///marked": "a\n",
            "file:///marked#below": "d\n",
        }
    }


def test_a_file_that_is_left_is_one_text_again() -> None:
    engine = FakeEngine(lambda _: "")
    at_hand = dataclasses.replace(
        _remembering("<|>"), buffer=_buffer("file:///left", "a\nb\nc\n"), cursor=CharOffset(2)
    )
    feed(engine, _gathered(at_hand))
    assert engine.memory["one client"]["file:///left#below"] == "c\n"
    feed(engine, _gathered(_remembering("<|>", at_hand.buffer)))
    assert engine.memory["one client"] == {"file:///left": "a\nb\nc\n"}


@given(st.text(alphabet="ab \r\n😀", max_size=20), st.text(alphabet="ab 😀", max_size=8))
def test_typing_on_a_line_changes_nothing_in_the_memory(above: str, typed: str) -> None:
    texts = [_gathered(_remembering(f"{above}\n{typed[:end]}<|>\n")) for end in range(len(typed))]
    assert all(each == texts[0] for each in texts)


def test_without_a_scope_nothing_is_remembered() -> None:
    snapshot = dataclasses.replace(_remembering("a\n<|>"), memory_scope=None)
    assert gather_texts(snapshot, page_of(snapshot)) is None


async def test_the_engine_is_fed_where_it_runs_and_before_the_row() -> None:
    """Handing a job in feeds nothing; running it does, and its rows name the scope."""
    engine = FakeEngine(lambda _: "foo")
    jobs: list[Job] = []

    class _Late(FakePort):
        async def generate(self, job: Job) -> Generation | None:
            jobs.append(job)
            return None

    snapshot = _remembering("import os\nx = <|>\n", _buffer("file:///other", "y = 1\n"))
    completer = Completer(port=_Late(engine), clock=ManualClock())
    assert await completer.complete(snapshot, Limits(eagerness=1.0)) is None
    assert engine.memory == {}
    await InlinePort(engine=engine, clock=ManualClock()).generate(jobs[0])
    assert engine.memory == {
        "one client": {"file:///other": "y = 1\n", "file:///marked": "import os\n"}
    }
    assert [request.memory_scope for request in engine.requests] == ["one client"]
    assert engine.requests[0].request_id == RequestId("1.0")
