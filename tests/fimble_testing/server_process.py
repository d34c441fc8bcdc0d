"""The server as a process of its own, and clients of it over its pipes or its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fimble_testing.raw_client import RawClient

__all__ = ["FAKE_SERVER", "REAL_SERVER", "ServerProcess", "connect", "start_server"]

FAKE_SERVER = (sys.executable, "-P", "-m", "fimble_testing.fake_server")
REAL_SERVER = (sys.executable, "-P", "-m", "fimble_server", "serve")
_TESTS = Path(__file__).parent.parent
_STREAM_LIMIT_BYTES = 2**22
_TIMEOUT_S = 60  # A machine under load is slow; only a hang is a fault.


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """A running server. `client` speaks over its pipes; `log_file` takes its standard error."""

    process: asyncio.subprocess.Process
    client: RawClient
    log_file: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8")

    def stop_reading(self) -> None:
        """Close our end of its standard output."""
        transport = self.process._transport  # type: ignore[attr-defined]  # asyncio shows no other way
        transport.get_pipe_transport(1).close()

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return await asyncio.wait_for(self.process.wait(), _TIMEOUT_S)

    async def logged(self, pattern: str) -> str:
        """The first group of a pattern in the log, waiting until it is there."""
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                if found := re.search(pattern, self.log):
                    return found[1]
                await asyncio.sleep(0.01)


@asynccontextmanager
async def start_server(
    folder: Path, *arguments: str, command: tuple[str, ...] = FAKE_SERVER
) -> AsyncIterator[ServerProcess]:
    """A server that is gone at the block's end. `folder` holds its log and its settings."""
    log_file = folder / "stderr.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(_TESTS),
        "XDG_CONFIG_HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
            limit=_STREAM_LIMIT_BYTES,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with RawClient(process.stdout, process.stdin) as client:
            yield ServerProcess(process=process, client=client, log_file=log_file)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[RawClient]:
    """One more client of a server that listens on `tcp:HOST:PORT` or `unix:PATH`."""
    kind, _, place = address.partition(":")
    if kind == "unix":
        reader, writer = await asyncio.open_unix_connection(place, limit=_STREAM_LIMIT_BYTES)
    else:
        host, _, port = place.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=_STREAM_LIMIT_BYTES)
    async with RawClient(reader, writer) as client:
        yield client
