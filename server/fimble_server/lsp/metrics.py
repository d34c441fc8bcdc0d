"""The server in numbers, in Prometheus' form: requests, rows, tokens, the engine, the machine.

Owns the names and their registry. Labels are words of our own: no text, no path and no file's
name is ever one. What costs to measure is measured once, by `EngineFigures`' owner.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fimble_model.ceilings import Ceilings
from fimble_model.engine.protocol import Clock, Finish
from fimble_server.completion.answer import Answer
from fimble_server.lsp.engine_status import EngineState
from fimble_server.lsp.engine_thread import EngineThread

__all__ = ["EngineFigures", "Metrics"]

# A key is 100 to 300 ms away from the next: the finer half lies where an answer should.
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0)


class Metrics:
    """Implements `Watch`. Its numbers may be added to from both threads: the library locks."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "fimble_requests",
            "Requests answered, by how they ended, who answered and the mode.",
            ("outcome", "source", "mode"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "fimble_request_seconds",
            "From a request to its answer, where it was not replaced or cancelled.",
            ("source",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._rows = Counter(
            "fimble_rows", "Rows of the engine, by why they ended.", ("reason",), registry=registry
        )
        self._row_seconds = Histogram(
            "fimble_row_seconds",
            "A row's time, by what passed it: queue, prefill or decode.",
            ("stage",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._tokens = Counter(
            "fimble_row_tokens",
            "Rows' tokens: prompt, of these reused and prefilled; generated; drafted, accepted.",
            ("kind",),
            registry=registry,
        )

    def take_row(self, finish: Finish) -> None:
        """Count a row: its end, its times, its tokens."""
        self._rows.labels(finish.reason.value).inc()
        for stage, spent_ms in (
            ("queue", finish.queue_ms),
            ("prefill", finish.prefill_ms),
            ("decode", finish.decode_ms),
        ):
            self._row_seconds.labels(stage).observe(spent_ms / 1000)
        for kind, n_tokens in (
            ("prompt", finish.n_prompt_tokens),
            ("reused", finish.n_reused_tokens),
            ("prefilled", finish.n_prefilled_tokens),
            ("generated", len(finish.tokens)),
            ("drafted", finish.n_drafted_tokens),
            ("accepted", finish.n_accepted_tokens),
        ):
            self._tokens.labels(kind).inc(n_tokens)

    def take_request(self, outcome: str, answer: Answer | None) -> None:
        """Count a request: its outcome, and its time where it has an answer."""
        source = "none" if answer is None else answer.source
        mode = "none" if answer is None else answer.plan.mode.value
        self._requests.labels(outcome, source, mode).inc()
        if answer is not None:
            self._request_seconds.labels(source).observe(answer.timing.total_ms / 1000)

    def collect_from(self, figures: EngineFigures) -> None:
        """Give these figures too, as they are when they are asked for."""
        self._registry.register(figures)

    def render(self, accept: str) -> tuple[str, bytes]:
        """All numbers now, in the form that the header `Accept` prefers: its name, and the text."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class EngineFigures(Collector):
    """What the engine has done and holds, read when it is asked for: between, it costs nothing.

    `ceilings` is set once they were measured; until then there are no shares of them.
    """

    def __init__(self, *, thread: EngineThread, clock: Clock) -> None:
        self._thread = thread
        self._clock = clock
        self.ceilings: Ceilings | None = None

    def collect(self) -> Iterable[Metric]:
        """The figures, in no particular order."""
        yield from self._counters()
        yield from self._gauges()
        yield from self._shares()
        states = GaugeMetricFamily(
            "fimble_model_state", "1 for the state that the model is in.", labels=("state",)
        )
        for state in EngineState:
            states.add_metric((state.value,), float(self._thread.status.state is state))
        yield states

    def _counters(self) -> Iterable[Metric]:
        work = self._thread.work
        for name, words, value in (
            ("passes", "Passes of the network.", work.n_passes),
            ("pass_tokens", "Tokens computed in passes.", work.n_pass_tokens),
            ("pass_seconds", "Time inside passes.", work.pass_ms / 1000),
            ("pass_flops", "Operations of the passes, by the network's shape.", work.flops),
            ("pass_bytes", "Bytes that the passes had to read, by its shape.", work.bytes_read),
        ):
            yield CounterMetricFamily(f"fimble_{name}", words, value)

    def _gauges(self) -> Iterable[Metric]:
        holdings = self._thread.holdings
        state_s = (self._clock.now_ms() - self._thread.status_since_ms) / 1000
        for name, words, value in (
            ("weight_bytes", "Bytes of the loaded model's matrices.", holdings.weight_bytes),
            ("cache_bytes", "Bytes of keys and values in use or kept.", holdings.cache_bytes),
            ("cache_limit_bytes", "Most bytes of them.", holdings.cache_limit_bytes),
            ("rows_running", "Rows that are being computed.", holdings.n_rows),
            ("rows_waiting", "Rows that wait for a place.", holdings.n_waiting),
            ("model_state_seconds", "How long the model is in its state.", state_s),
        ):
            yield GaugeMetricFamily(f"fimble_{name}", words, value)

    def _shares(self) -> Iterable[Metric]:
        work, ceilings = self._thread.work, self.ceilings
        if ceilings is None:
            return
        busy_s = work.pass_ms / 1000
        utilisation = work.flops / busy_s / ceilings.flops_per_s if busy_s else 0.0
        bandwidth_share = work.bytes_read / busy_s / ceilings.bytes_per_s if busy_s else 0.0
        for name, words, value in (
            ("machine_flops", "Operations a second of a large product.", ceilings.flops_per_s),
            ("machine_bandwidth", "Bytes a second of a large read.", ceilings.bytes_per_s),
            ("flop_utilisation", "pass_flops over pass_seconds, of machine_flops.", utilisation),
            ("bandwidth_share", "The same of pass_bytes and the bandwidth.", bandwidth_share),
        ):
            yield GaugeMetricFamily(f"fimble_{name}", words, value)
