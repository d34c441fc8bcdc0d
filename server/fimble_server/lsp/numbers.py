"""Metrics put together: what counts, what is read at a scrape, and where the page is served.

Owns the order of these. Imported only where metrics were asked for.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fimble_model.ceilings import measure_ceilings
from fimble_model.engine.protocol import Clock, Engine
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.metrics import EngineFigures, Metrics
from fimble_server.lsp.metrics_server import parse_metrics_address, serve_metrics
from fimble_server.lsp.model_host import LoadModel
from fimble_server.settings import ModelSettings

__all__ = ["Numbers"]

log = logging.getLogger(__name__)


class Numbers:
    """One process's metrics. Raises `FimbleError` for an address that will not do."""

    def __init__(self, address: str, *, is_public: bool) -> None:
        self.metrics = Metrics()
        self._address = parse_metrics_address(address, is_public=is_public)

    def follow(self, thread: EngineThread, clock: Clock, load: LoadModel) -> LoadModel:
        """Show this thread's figures too. Gives a loader that measures the machine, once.

        That is a part of loading, before any key can wait for it, and again only where the
        model's device or numbers changed.
        """
        figures = EngineFigures(thread=thread, clock=clock)
        self.metrics.collect_from(figures)
        measured_for: set[tuple[str, str]] = set()

        def load_and_measure(settings: ModelSettings, report: ReportProgress) -> Engine:
            engine = load(settings, report)
            model = engine.model
            if (model.device, model.dtype) not in measured_for:
                measured_for.clear()
                measured_for.add((model.device, model.dtype))
                figures.ceilings = measure_ceilings(model)
            return engine

        return load_and_measure

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve the page while the block runs."""
        async with serve_metrics(self._address, self.metrics) as url:
            log.info("metrics on %s", url)
            yield
