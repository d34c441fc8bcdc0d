"""Decoding steps of each bucket: fixed buffers on the device, captured in graphs where there are.

Owns those buffers and graphs. Without graphs the same code runs eagerly over the same buffers.
Knows no rows: a step computes what its buffers say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS, n_pages_for
from fimble_model.gpu import operations
from fimble_model.gpu.buckets import MOST_ROW_TOKENS, Bucket
from fimble_model.gpu.card import Card, Mark, Replay
from fimble_model.gpu.decoder import FusedDecoder
from fimble_model.gpu.pool import GpuPool
from fimble_model.gpu.static_batch import BatchRow, BatchShape, StaticBatch, fill

__all__ = ["DecodeSteps", "Picks"]

log = logging.getLogger(__name__)

# One is filled while the device may still read the other.
_N_HOST_BUFFERS = 2


class Picks:
    """The tokens that a step drew, on their way to the host. Read before the step after the next.

    Keeps what it read.
    """

    def __init__(self, host: _HostSide, n_tokens: int, mark: Mark) -> None:
        self._host = host
        self._n_tokens = n_tokens
        self._mark = mark
        self._read: tuple[list[int], list[float]] | None = None

    def wait(self) -> tuple[list[int], list[float]]:
        """Each line's token and its log-probability: the one wait of a step."""
        if self._read is None:
            self._mark.wait()
            host, n_tokens = self._host, self._n_tokens
            self._read = host.ids_N[:n_tokens].tolist(), host.logprobs_N[:n_tokens].tolist()
        return self._read


class _HostSide(NamedTuple):
    """Host memory of a step: what goes to the device, and what comes back."""

    inputs: Tensor
    ids_N: Tensor
    logprobs_N: Tensor


class DecodeSteps:
    """Steps over one pool. Keeps the invariant that a graph's addresses are those of the pool.

    `logits_NV` holds the logits of the last step that was queued, until the next is.
    """

    def __init__(
        self,
        decoder: FusedDecoder,
        pool: GpuPool,
        card: Card,
        buckets: Sequence[Bucket],
        *,
        has_graphs: bool = True,
    ) -> None:
        self.n_captured = 0
        self._decoder = decoder
        self._pool = pool
        self._card = card
        self._buckets = buckets
        self._can_capture = has_graphs and card.can_capture
        self._graphs: dict[Bucket, Replay] = {}
        self._views: dict[BatchShape, StaticBatch] = {}
        # A table reaches as far as the padding of the longest row pretends to. A pool that gets
        # another size never gets larger than it is now.
        n_most_slots = min(decoder.config.max_positions, pool.n_pages * PAGE_SLOTS)
        self._n_most_pages = n_pages_for(n_most_slots + MOST_ROW_TOKENS)
        n_bytes = max(
            StaticBatch.n_bytes(BatchShape(bucket, self._n_most_pages)) for bucket in buckets
        )
        n_tokens = max(bucket.n_tokens for bucket in buckets)
        device, dtype = card.device, pool.layout.dtype
        self._inputs = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
        vocabulary_size = decoder.config.vocabulary_size
        self.logits_NV = torch.zeros(n_tokens, vocabulary_size, dtype=dtype, device=device)
        self._ids_N = torch.zeros(n_tokens, dtype=torch.int64, device=device)
        self._logprobs_N = torch.zeros(n_tokens, dtype=torch.float32, device=device)
        self._hosts = [self._new_host_side(n_bytes, n_tokens) for _ in range(_N_HOST_BUFFERS)]
        self._marks = [card.mark()] * _N_HOST_BUFFERS
        self._n_queued = 0

    def queue(self, bucket: Bucket, rows: Sequence[BatchRow]) -> None:
        """Have the device compute a step; where rows say so, from the tokens it drew before."""
        # A step that nobody waited for may still be reading.
        self._marks[self._n_queued % _N_HOST_BUFFERS].wait()
        host = self._hosts[self._n_queued % _N_HOST_BUFFERS]
        graph = self._graphs.get(bucket)
        shape = BatchShape(bucket, self._n_most_pages if graph else self._n_pages_of(bucket, rows))
        self._upload(host, shape, rows)
        batch = self._view(shape)
        if any(row.source is not None for row in rows):
            torch.index_select(self._ids_N, 0, batch.sources_N, out=batch.token_ids_N)
        if graph is not None:
            graph.replay()
        else:
            self._compute(shape)
        if any(row.wish is not None and row.wish.temperature > 0 for row in rows):
            self._draw(batch)

    def fetch(self, n_tokens: int) -> Picks:
        """What the step queued last draws at its first lines, to be waited for later."""
        place = self._n_queued % _N_HOST_BUFFERS
        self._n_queued += 1
        host = self._hosts[place]
        self._card.copy(host.ids_N[:n_tokens], self._ids_N[:n_tokens])
        self._card.copy(host.logprobs_N[:n_tokens], self._logprobs_N[:n_tokens])
        self._marks[place] = self._card.mark()
        return Picks(host, n_tokens, self._marks[place])

    def capture_all(self, on_progress: Callable[[float], None]) -> None:
        """Capture every bucket that has no graph, telling the share that is done.

        What cannot be captured runs eagerly; that is said once.
        """
        for index, bucket in enumerate(self._buckets):
            self.capture(bucket)
            on_progress((index + 1) / len(self._buckets))

    def capture_next(self) -> None:
        """Capture one bucket that has no graph, if any: a tenth of a second."""
        bucket = next((one for one in self._buckets if one not in self._graphs), None)
        if bucket is not None:
            self.capture(bucket)

    def capture(self, bucket: Bucket) -> None:
        """Capture a bucket's step; after a failure, no more."""
        if not self._can_capture or bucket in self._graphs:
            return
        shape = BatchShape(bucket, self._n_most_pages)
        self._marks[self._n_queued % _N_HOST_BUFFERS].wait()
        self._upload(self._hosts[self._n_queued % _N_HOST_BUFFERS], shape, ())
        self._card.mark().wait()
        try:
            self._graphs[bucket] = self._card.capture(lambda: self._compute(shape))
        except RuntimeError as error:
            # Torch's type for memory that ran out is one too.
            self._can_capture = False
            log.warning(
                "decoding runs without a CUDA graph for %d of %d sizes, more slowly: %s",
                len(self._buckets) - len(self._graphs),
                len(self._buckets),
                type(error).__name__,
            )
        else:
            self.n_captured += 1

    def drop_graphs(self) -> None:
        """Forget all graphs, for their addresses, or their memory, are wanted otherwise."""
        self._graphs.clear()

    def _new_host_side(self, n_bytes: int, n_tokens: int) -> _HostSide:
        new_host_bytes = self._card.new_host_bytes
        return _HostSide(
            new_host_bytes(n_bytes),
            new_host_bytes(8 * n_tokens).view(torch.int64),
            new_host_bytes(4 * n_tokens).view(torch.float32),
        )

    def _n_pages_of(self, bucket: Bucket, rows: Sequence[BatchRow]) -> int:
        """Pages that a batch's tables name, in powers of two: few layouts are made."""
        n_slots = max((row.n_cached for row in rows), default=0) + bucket.n_row_tokens
        n_pages = max(n_pages_for(n_slots), *(len(row.pages) for row in rows), 1)
        return min(1 << (n_pages - 1).bit_length(), self._n_most_pages)

    def _upload(self, host: _HostSide, shape: BatchShape, rows: Sequence[BatchRow]) -> None:
        n_bytes = StaticBatch.n_bytes(shape)
        batch = StaticBatch.over(host.inputs, shape)
        fill(batch, rows, self._decoder.config.max_positions)
        self._card.copy(self._inputs[:n_bytes], host.inputs[:n_bytes])

    def _view(self, shape: BatchShape) -> StaticBatch:
        if shape not in self._views:
            self._views[shape] = StaticBatch.over(self._inputs, shape)
        return self._views[shape]

    def _compute(self, shape: BatchShape) -> None:
        batch, pool, scale = self._view(shape), self._pool, self._decoder.scale
        bucket = shape.bucket

        def attend(layer_index: int, q_NHD: Tensor) -> Tensor:
            o_BTHD = operations.attend_paged(
                q_NHD.view(bucket.n_rows, bucket.n_row_tokens, *q_NHD.shape[1:]),
                pool.keys_LPSKD[layer_index],
                pool.values_LPSKD[layer_index],
                batch.tables_BP,
                batch.lengths_B,
                scale,
            )
            return o_BTHD.reshape(q_NHD.shape)

        hidden_NE = self._decoder.hidden(
            batch.token_ids_N, batch.positions_N, batch.slots_N, attend
        )
        logits_NV = self.logits_NV[: bucket.n_tokens]
        self._decoder.logits_into(hidden_NE, logits_NV)
        best = logits_NV.float().log_softmax(dim=-1).max(dim=-1)
        self._ids_N[: bucket.n_tokens].copy_(best.indices)
        self._logprobs_N[: bucket.n_tokens].copy_(best.values)

    def _draw(self, batch: StaticBatch) -> None:
        """Draw over what the step took greedily. Beside the graph: sorting a vocabulary is dear."""
        n_tokens = len(batch.token_ids_N)
        ids_N, logprobs_N = operations.pick(
            self.logits_NV[:n_tokens], batch.temperatures_N, batch.top_ps_N, batch.uniforms_N
        )
        self._ids_N[:n_tokens].copy_(ids_N)
        self._logprobs_N[:n_tokens].copy_(logprobs_N)
