"""Laws of a real server that editors' windows share: whoever floods it floods nobody else.

Windows meet on a socket, as VS Code's do in the mode `shared`, and the model behind it is a real
one. What is asserted are counts of answers, never time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from fimble_testing.raw_client import Json, RawClient, inline_params
from fimble_testing.server_process import REAL_SERVER, connect, start_server
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint

pytestmark = pytest.mark.asyncio(loop_scope="module")

INLINE = "textDocument/inlineCompletion"
INVOKED = 1
N_FLOODED_FILES = 60
N_MODEST = 3
N_KEYS = 4
# Rows that the engine runs at once: a key waits until one of them ends, then runs beside them.
N_PLACES = 16
PATIENT = {
    "completion": {
        "eagerness": 1,
        "acceleration_deadline_ms": 30_000,
        "exploration_deadline_ms": 30_000,
    },
    "context": {"project": False},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("server")
    model = write_tiny_checkpoint(folder / "tiny")
    (folder / "fimble").mkdir()
    (folder / "fimble" / "config.toml").write_text(
        f'[model]\nname = "{model}"\ndtype = "float32"\nn_threads = 1\n', encoding="utf-8"
    )
    arguments = ("--listen", f"unix:{folder / 'windows.sock'}")
    async with start_server(folder, *arguments, command=REAL_SERVER) as server:
        yield await server.logged(r"ready on (\S+)")


def _text_of(number: int) -> str:
    """A file like no other, so that no prompt is cached for another; the cursor is at its end."""
    lines = [f"def step_{number}_{index}(left, right):\n    return left" for index in range(30)]
    return "\n".join([*lines, f"total_{number} = "])


def _end_of(text: str) -> tuple[int, int]:
    return text.count("\n"), len(text.rpartition("\n")[2])


async def _open_window(stack: AsyncExitStack, address: str) -> RawClient:
    client = await stack.enter_async_context(connect(address))
    await client.initialize(initializationOptions=PATIENT)
    return client


def _flood_files(client: RawClient) -> list[asyncio.Future[Json | None]]:
    """Ask in very many files at once, and wait for nothing."""
    asked = []
    for number in range(N_FLOODED_FILES):
        uri, text = f"file:///flood/{number}.py", _text_of(number)
        client.open(uri, text)
        asked.append(client.ask(INLINE, inline_params(uri, *_end_of(text), kind=INVOKED))[1])
    return asked


def _flood_buffer(client: RawClient) -> list[asyncio.Future[Json | None]]:
    """Hold a key down in one file: every key asks, and replaces what the one before asked."""
    uri, text = "file:///flood/held.py", _text_of(1000)
    client.open(uri, text)
    line, column = _end_of(text)
    asked = []
    for index in range(N_FLOODED_FILES):
        client.insert(uri, line, column + index, "x", version=2 + index)
        asked.append(client.ask(INLINE, inline_params(uri, line, column + index + 1))[1])
    return asked


async def _type(
    client: RawClient, number: int, others: Sequence[asyncio.Future[Json | None]] = ()
) -> tuple[list[Json | None], list[int]]:
    """A person at another window: a key, the wait for its answer, the next key.

    The answers, and for each key how many of the others' had come when it was answered.
    """
    uri, text = f"file:///modest/{number}.py", _text_of(2000 + number)
    client.open(uri, text)
    line, column = _end_of(text)
    answers, n_others = [], []
    for index, key in enumerate("left + right"[:N_KEYS]):
        client.insert(uri, line, column + index, key, version=2 + index)
        answers.append(await client.request(INLINE, inline_params(uri, line, column + index + 1)))
        n_others.append(sum(answer.done() for answer in others))
    return answers, n_others


async def test_a_window_that_floods_the_server_keeps_no_other_from_its_answers(
    address: str,
) -> None:
    """While one window's requests are served, three others type: all are answered, once.

    A key lets no more of the flood's answers pass than there are places in the engine, twice.
    """
    async with AsyncExitStack() as stack:
        windows = [await _open_window(stack, address) for _ in range(N_MODEST + 1)]
        flooding, modest = windows[0], windows[1:]
        warm = _text_of(3000)
        flooding.open("file:///warm.py", warm)
        await flooding.request(INLINE, inline_params("file:///warm.py", *_end_of(warm)))

        files, keys = _flood_files(flooding), _flood_buffer(flooding)
        typed = await asyncio.gather(*(_type(client, n, files) for n, client in enumerate(modest)))
        await asyncio.wait_for(asyncio.gather(*files, *keys), 120)

        for answers, n_flooded in typed:
            passing = [now - before for before, now in itertools.pairwise([0, *n_flooded])]
            assert max(passing) <= 2 * N_PLACES, passing
            assert n_flooded[0] < N_FLOODED_FILES, "the flood was over before anybody typed"
            assert len(answers) == N_KEYS
            assert all(answer is not None for answer in answers), "nobody replaced these requests"
        # One window's completer keeps the last 32 files that it was asked in.
        for answer in files[-8:]:
            assert answer.result() is not None, "no newer request of that file was there"
        assert keys[-1].result() is not None, "the newest key of a buffer is always answered"
        for client in windows:
            assert set(client.n_answers.values()) == {1}, "an answer was lost or given twice"


async def test_what_one_window_cancels_or_leaves_behind_takes_nothing_from_another(
    address: str,
) -> None:
    """A flood that is cancelled, and one whose window closes, end; the others' keys go on."""
    async with AsyncExitStack() as stack:
        staying, cancelling = [await _open_window(stack, address) for _ in range(2)]
        async with connect(address) as leaving:
            await leaving.initialize(initializationOptions=PATIENT)
            left_behind = _flood_files(leaving)
            asked = []
            for number in range(N_FLOODED_FILES):
                uri, text = f"file:///cancelled/{number}.py", _text_of(number)
                cancelling.open(uri, text)
                params = inline_params(uri, *_end_of(text), kind=INVOKED)
                asked.append(cancelling.ask(INLINE, params))
            for request_id, _ in asked:
                await cancelling.cancel(request_id)
            answers, _ = await _type(staying, 9)
        assert all(answer is not None for answer in answers)
        ended = await asyncio.gather(*(future for _, future in asked), return_exceptions=True)
        assert len(ended) == N_FLOODED_FILES
        assert set(cancelling.n_answers.values()) == {1}
        for future in left_behind:
            future.cancel()
        status = await staying.request("fimble/status")
        assert status["state"] == "ready"
        answers, _ = await _type(staying, 10)
        assert all(answer is not None for answer in answers)
