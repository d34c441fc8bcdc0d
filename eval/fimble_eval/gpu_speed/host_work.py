"""What the host does for a step while a card computes: the engine over a card that does nothing.

Owns that card and the measure. A step cannot be faster than this, whatever the GPU. Its figures
are real on any machine, and are named with its CPU; launches of real kernels come on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from fimble_eval.engine_speed.rows import PartResult, at_most, median, percentile
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_eval.gpu_speed.shapes import TINY, assemble
from fimble_eval.gpu_speed.timing import new_request, random_ids, run_timed
from fimble_model.assembly import layout_of
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.protocol import Engine
from fimble_model.gpu.card import HostCard, Replay
from fimble_model.gpu.decoder import FusedDecoder, PagedAttend
from fimble_model.gpu.manners import Manners
from fimble_model.gpu.parts import GpuParts
from fimble_model.gpu.pool import GpuCache
from fimble_model.gpu.runner import GpuRunner
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network

__all__ = ["measure_host_work"]

# 40,000 tokens/s in 256 rows is a step in 6.4 ms, 4,000 in one stream one in 0.25 ms: what the
# host may take of that. The next step is begun ahead, so that the card computes meanwhile.
_LIMITS_MS = {1: 0.15, 256: 2.0}
_N_PROMPT = 128
# What the card without a network says: a token that spells something.
_SAID_ID = 100
_PLACEMENT = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)


class _Still:
    def replay(self) -> None:
        """Nothing: what it wrote when it was captured still stands."""


class _StillCard(HostCard):
    """A card whose graphs take no time."""

    can_capture = True

    def capture(self, compute: Callable[[], None]) -> Replay:
        """Run once, so that there is something to be read."""
        compute()
        return _Still()


class _Mute(FusedDecoder):
    """A network that computes nothing and always says the same."""

    def hidden(
        self, token_ids_N: Tensor, positions_N: Tensor, slots_N: Tensor, attend: PagedAttend
    ) -> Tensor:
        return torch.zeros(len(token_ids_N), self.config.width)

    def logits_into(self, hidden_NE: Tensor, logits_NV: Tensor) -> None:
        logits_NV.zero_()[:, _SAID_ID] = 1.0

    def logprobs(self, hidden_NE: Tensor) -> Tensor:
        logits_NV = torch.zeros(len(hidden_NE), self.config.vocabulary_size)
        self.logits_into(hidden_NE, logits_NV)
        return logits_NV.log_softmax(dim=-1)


def measure_host_work(options: GpuOptions) -> PartResult:
    """Milliseconds of a decoding step's host work, with one row and with 256."""
    n_new = 24 if options.is_rehearsal else 200
    config = dataclasses.replace(TINY, max_positions=4096)
    network = random_network(config, _PLACEMENT)
    rows, details = [], {}
    for n_rows, limit_ms in _LIMITS_MS.items():
        steps_ms = _time_steps(_build_engine(network, n_rows), n_rows, n_new)
        details[f"{n_rows} rows"] = {
            "p50_ms": round(median(steps_ms), 4),
            "p95_ms": round(percentile(steps_ms, 95), 4),
        }
        rows.append(
            at_most(
                limit_ms,
                f"the host's work in a step, rows: {n_rows}",
                "ms",
                round(median(steps_ms), 4),
                note=f"p95 {percentile(steps_ms, 95):.3f} ms, of {len(steps_ms)} steps",
            )
        )
    return PartResult(rows=tuple(rows), details=details)


def _build_engine(network: Transformer, n_rows: int) -> Engine:
    layout = layout_of(network, _PLACEMENT)
    cache = GpuCache(layout, (n_rows + 1) * 8 * layout.bytes_per_page)
    clock = SystemClock()
    runner = GpuRunner(
        decoder=_Mute(network, cache.pool),
        cache=cache,
        card=_StillCard(),
        manners=Manners(layout, n_most_pages=cache.pool.n_pages, floor_bytes=0),
        clock=clock,
        n_most_rows=n_rows,
    )
    runner.warm_up(lambda share: None)
    return assemble(
        "mute", network, _PLACEMENT, n_most_rows=n_rows, gpu_parts=GpuParts(cache, runner)
    )


def _time_steps(engine: Engine, n_rows: int, n_new: int) -> list[float]:
    """Of the steps in which all rows decode and none ends; this thread's time, it never waits."""
    n_ids = engine.model.vocabulary_size
    steps_ms: list[float] = []
    for turn in range(2):
        timed = run_timed(
            engine,
            [
                new_request(f"{turn}-{row}", random_ids(_N_PROMPT, n_ids, row), n_new)
                for row in range(n_rows)
            ],
        )
        steps_ms = [seconds * 1000 for seconds in timed.step_cpu_s[-n_new + 2 : -2]]
    return steps_ms
