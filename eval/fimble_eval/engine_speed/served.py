"""A `fimble serve` process to be measured: its ports, its numbers and its memory, from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from fimble_server.errors import FimbleError

__all__ = ["Served", "serve"]

_READY_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that listens on `port`; its numbers are on `metrics_port`."""

    process_id: int
    port: int
    metrics_port: int
    log_path: Path

    async def scrape(self) -> dict[str, float]:
        """Its numbers by name, labels' values in brackets: `fimble_rows_total[length]`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.metrics_port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        page = (await reader.read()).decode().partition("\r\n\r\n")[2]
        writer.close()
        return {
            sample.name + (f"[{','.join(sample.labels.values())}]" if sample.labels else ""): (
                sample.value
            )
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    async def until_state(self, state: str) -> None:
        """Return once the model is in a state; raise `FimbleError` where it never is."""
        try:
            async with asyncio.timeout(_READY_LIMIT_S):
                while not (await self.scrape()).get(f"fimble_model_state[{state}]"):  # noqa: ASYNC110 - no event comes of another process
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise FimbleError(
                expected=f"a model that is {state} in {_READY_LIMIT_S:.0f} s",
                found="another state",
                to_do="Run `fimble check` with the same model.",
            ) from error

    @property
    def loads_s(self) -> list[float]:
        """How long each loading of a model took so far, from the log."""
        return [int(found) / 1000 for found in re.findall(r" load_ms=(\d+)", _read(self.log_path))]

    @property
    def resident_mib(self) -> float:
        """Its memory now."""
        return float(psutil.Process(self.process_id).memory_info().rss / 2**20)

    @property
    def used_cpu_s(self) -> float:
        """Seconds of a processor that it has used."""
        times = psutil.Process(self.process_id).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def serve(
    folder: Path, settings: Mapping[str, Mapping[str, object]]
) -> AsyncIterator[Served]:
    """Start a server with these settings alone; it is gone at the block's end."""
    config, log_path = folder / "config.toml", folder / "server.log"
    config.write_text(
        "".join(
            f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
            for section, values in settings.items()
        ),
        encoding="utf-8",
    )
    listen = ("--listen", "tcp:127.0.0.1:0", "--metrics", "127.0.0.1:0", "--config", str(config))
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fimble_server", "serve", *listen),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            env=dict(os.environ),
        )
    try:
        port = int(await _logged(log_path, r"ready on tcp:127\.0\.0\.1:(\d+)"))
        metrics_port = int(await _logged(log_path, r"metrics on http://127\.0\.0\.1:(\d+)/"))
        yield Served(
            process_id=process.pid, port=port, metrics_port=metrics_port, log_path=log_path
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _logged(path: Path, pattern: str) -> str:
    async with asyncio.timeout(_READY_LIMIT_S):
        while (found := re.search(pattern, _read(path))) is None:  # noqa: ASYNC110 - nor of a file
            await asyncio.sleep(0.02)
    return found[1]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
