"""Laws of the metrics: what is counted, what never becomes a label, and who may read them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from fimble_model.ceilings import Ceilings
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import EngineWork
from fimble_server.errors import FimbleError
from fimble_server.lsp.address import TcpAddress
from fimble_server.lsp.engine_thread import EngineThread
from fimble_server.lsp.metrics import EngineFigures, Metrics
from fimble_server.lsp.metrics_server import parse_metrics_address, serve_metrics
from fimble_testing.fake_engine import FakeEngine, finish_of

SECRET = "hunter2"


def _samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by its name with its labels, as in the page."""
    _, page = metrics.render("text/plain")
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_a_row_is_counted_by_its_end_its_times_and_its_tokens_and_not_its_text() -> None:
    metrics = Metrics()
    finish = dataclasses.replace(
        finish_of(SECRET, n_prompt_tokens=40),
        n_reused_tokens=30,
        n_prefilled_tokens=10,
        n_drafted_tokens=4,
        n_accepted_tokens=3,
        queue_ms=2.0,
        prefill_ms=50.0,
        decode_ms=700.0,
    )
    metrics.take_row(finish)
    metrics.take_row(finish)
    samples = _samples(metrics)
    assert samples["fimble_rows_total reason=stop_rule"] == 2
    tokens = {
        kind: samples[f"fimble_row_tokens_total kind={kind}"]
        for kind in ("prompt", "reused", "prefilled", "generated", "drafted", "accepted")
    }
    assert tokens == {
        "prompt": 80,
        "reused": 60,
        "prefilled": 20,
        "generated": 2 * len(SECRET),
        "drafted": 8,
        "accepted": 6,
    }
    for stage, spent_s in (("queue", 0.004), ("prefill", 0.1), ("decode", 1.4)):
        assert samples[f"fimble_row_seconds_sum stage={stage}"] == pytest.approx(spent_s)
    assert SECRET not in str(samples)


async def test_shares_are_work_over_busy_time_over_the_ceiling() -> None:
    metrics, thread = Metrics(), EngineThread(clock=SystemClock())
    figures = EngineFigures(thread=thread, clock=SystemClock())
    metrics.collect_from(figures)
    assert "fimble_flop_utilisation" not in _samples(metrics)
    figures.ceilings = Ceilings(flops_per_s=1e9, bytes_per_s=1e8)
    assert _samples(metrics)["fimble_flop_utilisation"] == 0

    class _Worked(FakeEngine):
        @property
        def work(self) -> EngineWork:
            return EngineWork(
                n_passes=2, n_pass_tokens=5, pass_ms=500.0, flops=10**8, bytes_read=10**7
            )

    loaded = asyncio.Event()
    thread.listen(lambda status: loaded.set() if status.model else None)
    thread.load(lambda _: _Worked(lambda _: ""))
    await asyncio.wait_for(loaded.wait(), 60)
    samples = _samples(metrics)
    assert samples["fimble_flop_utilisation"] == pytest.approx(0.2)
    assert samples["fimble_bandwidth_share"] == pytest.approx(0.2)
    assert samples["fimble_passes_total"] == 2
    assert samples["fimble_model_state state=ready"] == 1
    assert samples["fimble_model_state state=unloaded"] == 0
    # Another engine in its place: what was done before still counts.
    loaded.clear()
    thread.load(lambda _: _Worked(lambda _: ""))
    await asyncio.wait_for(loaded.wait(), 60)
    assert _samples(metrics)["fimble_passes_total"] == 4
    assert await asyncio.to_thread(thread.stop, timeout_s=60)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    async with serve_metrics(TcpAddress(host="127.0.0.1", port=0), Metrics()) as url:
        yield int(url.rpartition(":")[2].removesuffix("/metrics"))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n", b"200"),
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET", b""),
    ],
)
async def test_any_request_is_answered_and_the_page_stays(
    port: int, sent: bytes, status: bytes
) -> None:
    for request, expected in ((sent, status), (b"GET /metrics HTTP/1.1\r\n\r\n", b"200")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
        assert answer.startswith(b"HTTP/1.1 " + expected if expected else b"")
        writer.close()


@pytest.mark.parametrize("words", ["0.0.0.0:9100", "192.168.0.2:9100", "example.org:80", "[::]:1"])
def test_an_address_that_others_reach_must_be_meant(words: str) -> None:
    with pytest.raises(FimbleError, match="--metrics-public"):
        parse_metrics_address(words, is_public=False)
    assert parse_metrics_address(words, is_public=True).port > 0


@pytest.mark.parametrize("words", ["", "localhost:", "localhost:http", "a:b:99999"])
def test_what_is_no_address_is_refused_by_name(words: str) -> None:
    with pytest.raises(FimbleError, match="HOST:PORT"):
        parse_metrics_address(words, is_public=False)


async def test_a_taken_port_is_said_in_words(port: int) -> None:
    with pytest.raises(FimbleError, match="another port"):
        async with serve_metrics(TcpAddress(host="127.0.0.1", port=port), Metrics()):
            pass
