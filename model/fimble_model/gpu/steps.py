"""Decoding steps of each bucket: fixed buffers on the device, captured in graphs where there are.

Owns those buffers and graphs. Without graphs the same code runs eagerly over the same buffers.
Knows no rows: a step computes what its buffers say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS, n_pages_for
from fimble_model.gpu import operations
from fimble_model.gpu.buckets import MOST_ROW_TOKENS, Bucket
from fimble_model.gpu.card import Card, Mark, Replay
from fimble_model.gpu.decoder import FusedDecoder
from fimble_model.gpu.pool import GpuPool
from fimble_model.gpu.static_batch import (
    BatchRow,
    BatchShape,
    Columns,
    StaticBatch,
    fill,
    fill_next,
)

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
            n_tokens = self._n_tokens
            drawn = self._host.drawn
            self._read = drawn.ids_N[:n_tokens].tolist(), drawn.logprobs_N[:n_tokens].tolist()
        return self._read


class _HostSide(NamedTuple):
    """Host memory of a step: what goes to the device, and what comes back."""

    inputs: Tensor
    drawn: _Drawn


class _Drawn(NamedTuple):
    """Tokens and their log-probabilities side by side, so that one copy brings both.

    `ids_N` and `logprobs_N` are views of `both_N2`, 16 bytes a token.
    """

    both_N2: Tensor
    ids_N: Tensor
    logprobs_N: Tensor

    @classmethod
    def over(cls, buffer: Tensor) -> _Drawn:
        both_N2 = buffer.view(torch.int64).view(-1, 2)
        return cls(both_N2, both_N2[:, 0], buffer.view(torch.float32).view(-1, 4)[:, 2])


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
        self._host_views: dict[tuple[BatchShape, int], Columns] = {}
        self._last: Columns | None = None
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
        self._drawn = _Drawn.over(torch.zeros(16 * n_tokens, dtype=torch.uint8, device=device))
        self._hosts = [self._new_host_side(n_bytes, n_tokens) for _ in range(_N_HOST_BUFFERS)]
        self._marks = [card.mark()] * _N_HOST_BUFFERS
        self._n_queued = 0

    def queue(self, bucket: Bucket, rows: Sequence[BatchRow]) -> None:
        """Have the device compute a step; where rows say so, from the tokens it drew before."""
        n_slots = max((row.n_cached for row in rows), default=0) + bucket.n_row_tokens
        n_pages = max(n_pages_for(n_slots), *(len(row.pages) for row in rows), 1)
        shape, host = self._take_host(bucket, n_pages)
        fill(host, rows, self._decoder.config.max_positions)
        self._run(
            shape,
            host,
            is_fed=any(row.source is not None for row in rows),
            draws=any(row.wish is not None and row.wish.temperature > 0 for row in rows),
        )

    def queue_next(
        self,
        bucket: Bucket,
        places: npt.NDArray[np.intp],
        pages_of: Callable[[int], Sequence[int]],
        uniforms: Sequence[float],
    ) -> None:
        """The step after the one queued last, for its rows at `places`; see `fill_next`."""
        before = self._last
        assert before is not None, "no step was queued"
        n_slots = int(before.lengths_B[places].max()) + 1
        # A row may hold a page more than it fills.
        shape, host = self._take_host(bucket, n_pages_for(n_slots) + 1)
        fill_next(host, before, places, pages_of, uniforms)
        self._run(shape, host, is_fed=True, draws=bool(uniforms))

    def fetch(self, n_tokens: int) -> Picks:
        """What the step queued last draws at its first lines, to be waited for later."""
        place = self._n_queued % _N_HOST_BUFFERS
        self._n_queued += 1
        host = self._hosts[place]
        self._card.copy(host.drawn.both_N2[:n_tokens], self._drawn.both_N2[:n_tokens])
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
        shape, host = self._take_host(bucket, self._n_most_pages)
        fill(host, (), self._decoder.config.max_positions)
        self._upload(shape)
        self._card.mark().wait()
        try:
            graph = self._card.capture(lambda: self._compute(shape, draws=True))
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
            self._graphs[bucket] = graph
            self.n_captured += 1

    def drop_graphs(self) -> None:
        """Forget all graphs, for their addresses, or their memory, are wanted otherwise."""
        self._graphs.clear()

    def _new_host_side(self, n_bytes: int, n_tokens: int) -> _HostSide:
        new_host_bytes = self._card.new_host_bytes
        return _HostSide(new_host_bytes(n_bytes), _Drawn.over(new_host_bytes(16 * n_tokens)))

    def _take_host(self, bucket: Bucket, n_pages: int) -> tuple[BatchShape, Columns]:
        """A step's layout, whose tables name so many pages at least, in free host memory.

        For torch's attention, which reads all of them, tables are as wide as they must be, in
        powers of two: few layouts are made. Graphs, and kernels compiled at warm-up, want the one
        width that they were made for.
        """
        place = self._n_queued % _N_HOST_BUFFERS
        # A step that nobody waited for may still be reading.
        self._marks[place].wait()
        if bucket not in self._graphs and not operations.has_kernels(self._inputs):
            n_pages = min(1 << (n_pages - 1).bit_length(), self._n_most_pages)
        else:
            n_pages = self._n_most_pages
        shape = BatchShape(bucket, n_pages)
        if (shape, place) not in self._host_views:
            batch = StaticBatch.over(self._hosts[place].inputs, shape)
            self._host_views[shape, place] = batch.numbers()
        return shape, self._host_views[shape, place]

    def _run(self, shape: BatchShape, host: Columns, *, is_fed: bool, draws: bool) -> None:
        self._upload(shape)
        self._last = host
        batch = self._view(shape)
        if is_fed:
            torch.index_select(self._drawn.ids_N, 0, batch.sources_N, out=batch.token_ids_N)
        graph = self._graphs.get(shape.bucket)
        if graph is not None:
            graph.replay()
        else:
            self._compute(shape, draws=draws)

    def _upload(self, shape: BatchShape) -> None:
        n_bytes = StaticBatch.n_bytes(shape)
        host = self._hosts[self._n_queued % _N_HOST_BUFFERS]
        self._card.copy(self._inputs[:n_bytes], host.inputs[:n_bytes])

    def _view(self, shape: BatchShape) -> StaticBatch:
        if shape not in self._views:
            self._views[shape] = StaticBatch.over(self._inputs, shape)
        return self._views[shape]

    def _compute(self, shape: BatchShape, *, draws: bool) -> None:
        """A step over the buffers. Without `draws` no row of it draws but greedily."""
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
        ids_N, logprobs_N = operations.pick(
            logits_NV, batch.temperatures_N, batch.top_ps_N, batch.uniforms_N, draws=draws
        )
        self._drawn.ids_N[: bucket.n_tokens].copy_(ids_N)
        self._drawn.logprobs_N[: bucket.n_tokens].copy_(logprobs_N)
