"""Many people typing at once over one real server: how long each key waits, and what is lost.

Owns the load and its summary. Keys come when people type them, whether the last answer is there
or not, so a slow server falls behind as it would in life.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fimble_eval.engine_speed.options import EngineOptions, base_shape_folder
from fimble_eval.engine_speed.recorded_prompts import own_sources
from fimble_eval.engine_speed.rhythm import TimedKey, plan_keys
from fimble_eval.engine_speed.rows import PartResult, Row, percentile
from fimble_eval.engine_speed.served import Served, serve
from fimble_eval.engine_speed.wire_client import WireClient
from fimble_eval.typing_replay import plan_spots
from fimble_server.commandline.target import read_source

__all__ = ["Crowd", "measure_typists", "measure_typists_on_large", "type_all"]

_CROWDS = (1, 2, 4, 8, 16, 32)
# A single typist presses few keys: more time for few, so that their percentiles mean something.
_DURATIONS_S = {1: 25.0, 2: 15.0}
_DURATION_S = 10.0
_PATIENCE_S = 20.0
_INLINE = "textDocument/inlineCompletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What `n_typists` got. Waits are of answers that were wanted: a newer key's request answers
    the older one with null at once, and those are `n_superseded`.

    `lag_p95_ms` is how late keys were sent: were it large, the load itself would be the limit.
    """

    n_typists: int
    n_requests: int
    n_answered: int
    n_superseded: int
    n_lost: int
    n_answered_twice: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    answers_per_s: float
    generated_per_s: float
    reused_share: float
    rows_at_deadline: int
    flop_utilisation: float
    bandwidth_share: float
    cache_mib: float
    lag_p95_ms: float


def measure_typists(options: EngineOptions) -> PartResult:
    """Crowds of typists on the model that ships."""
    return asyncio.run(_measure(options.model, _CROWDS))


def measure_typists_on_large(options: EngineOptions) -> PartResult:
    """The crowds that the target names, on a model of the larger size."""
    return asyncio.run(_measure(str(base_shape_folder(options)), (1, 4, 16)))


async def _measure(model: str, sizes: Sequence[int]) -> PartResult:
    crowds = []
    with tempfile.TemporaryDirectory() as folder:
        for n_typists in sizes:
            async with serve(Path(folder), {"model": {"name": model}}) as served:
                await served.until_state("ready")
                duration_s = _DURATIONS_S.get(n_typists, _DURATION_S)
                crowds.append(await type_all(served, n_typists, duration_s))
    alone, sixteen = crowds[0], next(crowd for crowd in crowds if crowd.n_typists == 16)
    name = Path(model).name
    return PartResult(
        rows=(
            Row(
                measure=f"16 typists on one engine ({name}): a wait that 95 % stay under",
                unit="ms",
                ours=sixteen.p95_ms,
                other=alone.p95_ms,
                other_name="one typist",
                merit=round(sixteen.p95_ms / max(alone.p95_ms, 0.01), 3),
                merit_words="times one typist's",
                target=4.0,
                is_ceiling=True,
            ),
            Row(
                measure=f"answers lost or given twice, 16 typists ({name})",
                unit="answers",
                ours=sixteen.n_lost + sixteen.n_answered_twice,
                other=sixteen.n_requests,
                other_name="requests",
                merit=float(sixteen.n_lost + sixteen.n_answered_twice),
                merit_words="lost",
                target=0.0,
                is_ceiling=True,
            ),
            Row(
                measure=f"prompt tokens reused while one types, whole server ({name})",
                unit="share",
                ours=alone.reused_share,
                other=None,
                other_name="",
                merit=alone.reused_share,
                merit_words="of all prompt tokens",
                target=0.95,
            ),
        ),
        details={"model": name, "crowds": [asdict(crowd) for crowd in crowds]},
    )


@dataclass(slots=True)
class _Log:
    """What one typist saw. `waits_ms` are of wanted answers."""

    waits_ms: list[float]
    lags_ms: list[float]
    n_requests: int = 0
    n_superseded: int = 0
    n_lost: int = 0
    n_answered_twice: int = 0


async def type_all(served: Served, n_typists: int, duration_s: float) -> Crowd:
    """Have so many people type on a server for a while, each in a file of their own."""
    paths, ready = own_sources(n_typists), asyncio.Barrier(n_typists + 1)
    typing = asyncio.gather(
        *(
            _type_one(served.port, paths[index % len(paths)], index, duration_s, ready)
            for index in range(n_typists)
        )
    )
    await ready.wait()
    before, started_s = await served.scrape(), time.perf_counter()
    logs = await typing
    elapsed_s = time.perf_counter() - started_s
    return _summarise(logs, before, await served.scrape(), elapsed_s)


async def _type_one(
    port: int, path: Path, seed: int, duration_s: float, ready: asyncio.Barrier
) -> _Log:
    """One person: a connection, a file, and keys in their rhythm.

    All have opened their file and asked once before anybody types: that many people do not open
    their editors in the same second, and what is measured is typing.
    """
    text = read_source(path)
    spots = plan_spots(text, n_spots=6, n_chars=120)
    log, uri = _Log([], []), path.as_uri()
    async with WireClient(port) as client:
        document = {"uri": uri, "languageId": "python", "version": 0, "text": text}
        client.notify("textDocument/didOpen", {"textDocument": document})
        await _ask(client, uri, _position(text, spots[0].start), _Log([], []))
        await ready.wait()
        asked: list[asyncio.Task[None]] = []
        started_s, version = time.perf_counter(), 0
        for timed in plan_keys(spots, seed=seed, duration_s=duration_s):
            wait_s = started_s + timed.at_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            log.lags_ms.append(max(0.0, -wait_s * 1000))
            text, version = _press(client, uri, text, version, timed)
            cursor = timed.key.offset + len(timed.key.inserted)
            asked.append(asyncio.create_task(_ask(client, uri, _position(text, cursor), log)))
        await asyncio.gather(*asked)
        log.n_answered_twice = sum(n > 1 for n in client.n_answers.values())
    return log


def _press(
    client: WireClient, uri: str, text: str, version: int, timed: TimedKey
) -> tuple[str, int]:
    """Send the key as a change, after cutting a new place out; the text and version after it."""
    edits = [(timed.key.offset, timed.key.offset, timed.key.inserted)]
    if timed.spot is not None:
        edits.insert(0, (timed.spot.start, timed.spot.start + len(timed.spot.text), ""))
    for start, end, inserted in edits:
        version += 1
        client.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": version},
                "contentChanges": [
                    {
                        "range": {"start": _position(text, start), "end": _position(text, end)},
                        "text": inserted,
                    }
                ],
            },
        )
        text = text[:start] + inserted + text[end:]
    return text, version


async def _ask(client: WireClient, uri: str, position: dict[str, int], log: _Log) -> None:
    log.n_requests += 1
    sent_s = time.perf_counter()
    params = {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}}
    try:
        answer = await asyncio.wait_for(client.request(_INLINE, params), _PATIENCE_S)
    except TimeoutError:
        log.n_lost += 1
        return
    if answer is None:
        log.n_superseded += 1
    else:
        log.waits_ms.append((time.perf_counter() - sent_s) * 1000)


def _position(text: str, offset: int) -> dict[str, int]:
    line_start = text.rfind("\n", 0, offset) + 1
    return {
        "line": text.count("\n", 0, offset),
        "character": len(text[line_start:offset].encode("utf-16-le")) // 2,
    }


def _summarise(
    logs: Sequence[_Log], before: dict[str, float], after: dict[str, float], elapsed_s: float
) -> Crowd:
    waits_ms = [wait for log in logs for wait in log.waits_ms]

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    busy_s = max(grown("fimble_pass_seconds_total"), 1e-9)
    n_prompt = grown("fimble_row_tokens_total[prompt]")
    return Crowd(
        n_typists=len(logs),
        n_requests=sum(log.n_requests for log in logs),
        n_answered=len(waits_ms),
        n_superseded=sum(log.n_superseded for log in logs),
        n_lost=sum(log.n_lost for log in logs),
        n_answered_twice=sum(log.n_answered_twice for log in logs),
        p50_ms=round(percentile(waits_ms, 50), 2),
        p95_ms=round(percentile(waits_ms, 95), 2),
        p99_ms=round(percentile(waits_ms, 99), 2),
        answers_per_s=round(len(waits_ms) / elapsed_s, 2),
        generated_per_s=round(grown("fimble_row_tokens_total[generated]") / elapsed_s, 2),
        reused_share=round(grown("fimble_row_tokens_total[reused]") / max(1.0, n_prompt), 4),
        rows_at_deadline=int(grown("fimble_rows_total[deadline]")),
        flop_utilisation=round(
            grown("fimble_pass_flops_total") / busy_s / after["fimble_machine_flops"], 4
        ),
        bandwidth_share=round(
            grown("fimble_pass_bytes_total") / busy_s / after["fimble_machine_bandwidth"], 4
        ),
        cache_mib=round(after["fimble_cache_bytes"] / 2**20, 1),
        lag_p95_ms=round(percentile([lag for log in logs for lag in log.lags_ms], 95), 2),
    )
