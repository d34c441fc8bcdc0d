"""What the server costs while nobody asks: memory before and after it lets go, and processor time.

Owns that part. It waits for the real idle limit of a real server, set to a second.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fimble_eval.engine_speed.options import EngineOptions, base_shape_folder
from fimble_eval.engine_speed.recorded_prompts import own_sources
from fimble_eval.engine_speed.rows import PartResult, Row, at_most, median
from fimble_eval.engine_speed.served import serve
from fimble_eval.engine_speed.wire_client import WireClient
from fimble_server.commandline.target import read_source

__all__ = ["measure_memory_manners"]

_IDLE_LIMIT_S = 1.0
_IDLE_WATCH_S = 3.0
_N_RELOADS = 3
_ANSWER_LIMIT_MS = 400.0
_N_TEXTS = 24


def measure_memory_manners(options: EngineOptions) -> PartResult:
    """The shipped model, and the larger one."""
    rows: list[Row] = []
    details: dict[str, object] = {}
    for model in (options.model, str(base_shape_folder(options))):
        found, detail = asyncio.run(_measure(model))
        rows += found
        details[Path(model).name] = detail
    return PartResult(rows=tuple(rows), details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one server was seen to use. `reloads_s` are the loadings after the first."""

    full_mib: float
    empty_mib: float
    cache_bytes: float
    first_load_s: float
    reloads_s: list[float]
    answers_s: list[float]
    idle_s: float


async def _measure(model: str) -> tuple[list[Row], dict[str, object]]:
    settings: dict[str, dict[str, object]] = {
        "model": {"name": model, "unload_after_idle_s": _IDLE_LIMIT_S},
        "completion": {"exploration_deadline_ms": _ANSWER_LIMIT_MS},
    }
    name = Path(model).name
    with tempfile.TemporaryDirectory() as folder:
        async with serve(Path(folder), settings) as served:
            answers_s = []
            async with WireClient(served.port) as client:
                await served.until_state("ready")
                await _ask_widely(client)
                full_mib, cache = served.resident_mib, await served.scrape()
                for _ in range(_N_RELOADS):
                    await served.until_state("unloaded")
                    empty_mib = served.resident_mib
                    started_s = time.perf_counter()
                    await _ask(client, own_sources(1)[0], 40)
                    answers_s.append(time.perf_counter() - started_s)
                await served.until_state("unloaded")
                used_s = served.used_cpu_s
                await asyncio.sleep(_IDLE_WATCH_S)
                idle_s = served.used_cpu_s - used_s
                first_load_s, *reloads_s = served.loads_s
    seen = _Seen(
        full_mib=full_mib,
        empty_mib=empty_mib,
        cache_bytes=cache["fimble_cache_bytes"],
        first_load_s=first_load_s,
        reloads_s=reloads_s,
        answers_s=answers_s,
        idle_s=idle_s,
    )
    details: dict[str, object] = {
        "reloads_s": reloads_s,
        "answers_s": answers_s,
        "first_load_s": first_load_s,
    }
    return _to_rows(name, seen), details


def _to_rows(name: str, seen: _Seen) -> list[Row]:
    return [
        Row(
            measure=f"resident memory at work and unloaded ({name})",
            unit="MiB",
            ours=round(seen.empty_mib, 1),
            other=round(seen.full_mib, 1),
            other_name="at work, cache in use",
            merit=round(seen.full_mib - seen.empty_mib, 1),
            merit_words="MiB given back",
            target=None,
            note=f"{seen.cache_bytes / 2**20:.0f} MiB of keys and values",
        ),
        at_most(
            1.0,
            f"loading again what was unloaded, for a request ({name})",
            "s",
            round(median(seen.reloads_s), 3),
            note=f"answered after {median(seen.answers_s):.2f} s; the first loading, with the "
            f"start of torch, took {seen.first_load_s:.2f} s",
        ),
        Row(
            measure=f"processor time of {_IDLE_WATCH_S:.0f} idle seconds ({name})",
            unit="s",
            ours=round(seen.idle_s, 3),
            other=None,
            other_name="",
            merit=round(seen.idle_s / _IDLE_WATCH_S, 4),
            merit_words="of a core",
            target=0.005,
            is_ceiling=True,
        ),
    ]


async def _ask_widely(client: WireClient) -> None:
    """Ask at places that share nothing, so that the cache fills."""
    for index, path in enumerate(own_sources(_N_TEXTS)):
        await _ask(client, path, 20 + index)


async def _ask(client: WireClient, path: Path, line: int) -> None:
    text = read_source(path)
    document = {"uri": path.as_uri(), "languageId": "python", "version": 0, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": document})
    await client.request(
        "textDocument/inlineCompletion",
        {
            "textDocument": {"uri": path.as_uri()},
            "position": {"line": line, "character": 8},
            "context": {"triggerKind": 1},
        },
    )
