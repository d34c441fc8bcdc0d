"""The verb `serve`: one process, one engine, and the clients that talk to it.

Owns the order of start and end. Reads neither the environment nor files: `cli.py` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from fimble_model.engine.clock import SystemClock
from fimble_server import __version__
from fimble_server.completion.completer import Completer
from fimble_server.lsp.address import Address, parse_address
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.model_host import LoadModel, ModelHost, load_model
from fimble_server.lsp.safe_logging import start_logging
from fimble_server.lsp.session import SessionHouse
from fimble_server.lsp.transports import serve_sockets, serve_stdio
from fimble_server.settings_layers import SettingsLayer, merge_settings

if TYPE_CHECKING:
    from fimble_server.lsp.numbers import Numbers

__all__ = ["serve"]

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 2.0


def serve(
    *,
    layers: Sequence[SettingsLayer] = (),
    listen: str | None = None,
    metrics: str | None = None,
    metrics_public: bool = False,
    cache: Path | None = None,
    load: LoadModel = load_model,
) -> int:
    """Serve until the client is done (stdio) or the process is told to end; the exit code.

    `layers` are the settings below those of the editor. `listen` is an address, or None for
    stdin and stdout; `metrics` is where numbers are served, or None for nowhere; `cache` is where
    projects' indices may lie, or None for no index. Raises `FimbleError` for a bad setting or
    address, before anything runs.
    """
    settings = merge_settings(layers)
    address = parse_address(listen) if listen is not None else None
    numbers = _open_numbers(metrics, is_public=metrics_public) if metrics is not None else None
    start_logging(settings.server.log_level)
    log.info("fimble %s, Python %s, torch %s, over %s", *_versions(), listen or "stdio")
    try:
        return asyncio.run(_serve(tuple(layers), address, load, numbers, cache))
    except KeyboardInterrupt:
        return 130


async def _serve(
    layers: tuple[SettingsLayer, ...],
    address: Address | None,
    load: LoadModel,
    numbers: Numbers | None,
    cache: Path | None,
) -> int:
    """Build the house, let clients in, and end the process where that is quicker than returning."""
    clock = SystemClock()
    watch = numbers.metrics if numbers is not None else None
    thread = EngineThread(clock=clock, watch=watch)
    if numbers is not None:
        load = numbers.follow(thread, clock, load)
    model_settings = merge_settings(layers).model
    host = ModelHost(
        thread=thread, settings=model_settings, load=load, is_shared=address is not None
    )
    house = SessionHouse(
        host=host,
        build_completer=lambda: Completer(port=thread, clock=clock, looks_ahead=True),
        layers=layers,
        clock=clock,
        watch=watch,
        cache=cache,
    )
    if address is not None:
        host.want(model_settings)
    try:
        async with numbers.served() if numbers is not None else contextlib.nullcontext():
            exit_code = await _serve_clients(address, house)
    finally:
        thread.stop(timeout_s=_STOP_TIMEOUT_S)
    if thread.has_started:
        # Torch takes a second to be taken down in order, and a model that is still loading
        # cannot be interrupted at all. Nothing of ours is left to be written.
        _flush()
        os._exit(exit_code)
    return exit_code


async def _serve_clients(address: Address | None, house: SessionHouse) -> int:
    """Serve until stdio's client is done, or until told to end; the exit code."""
    serving = asyncio.ensure_future(
        serve_stdio(house)
        if address is None
        else serve_sockets(address, house, on_ready=lambda name: log.info("ready on %s", name))
    )
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        ended_in_order = await serving
    except asyncio.CancelledError:
        log.info("told to end")
        return 0
    return 0 if ended_in_order else 1


def _open_numbers(words: str, *, is_public: bool) -> Numbers:
    """Metrics at an address. Their library is imported only where they are wanted."""
    from fimble_server.lsp.numbers import Numbers

    return Numbers(words, is_public=is_public)


def _versions() -> tuple[str, str, str]:
    """Ours, Python's and torch's, the last without importing it."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        torch_version = "missing"
    return __version__, platform.python_version(), torch_version


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
