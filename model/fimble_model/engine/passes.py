"""Passes of one network over one cache: run, timed, counted, and tried again without memory.

Owns the network's use and the numbers that come of it. Never chooses rows or tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from fimble_model.engine.accounts import EngineWork
from fimble_model.engine.kv_cache import KvCache
from fimble_model.engine.pass_costs import PassCosts
from fimble_model.engine.protocol import Clock
from fimble_model.engine.ragged_pass import Piece, run_pass
from fimble_model.network.cost import PassCost
from fimble_model.network.transformer import Transformer

__all__ = ["Passes"]

log = logging.getLogger(__name__)


class Passes:
    """Keeps the invariant that `work` counts every pass that came to its end."""

    def __init__(
        self, transformer: Transformer, cache: KvCache, cost: PassCost, clock: Clock
    ) -> None:
        self.work = EngineWork()
        self.costs = PassCosts()
        self.cost = cost
        self._transformer = transformer
        self._cache = cache
        self._clock = clock

    def run(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Each piece's `logprobs_LV`. Raises what the network raises.

        Out of memory, it drops all kept prefixes and tries once more: a longer prefill later
        is better than no answer now.
        """
        shape = [piece.shape for piece in pieces]
        started_ms = self._clock.now_ms()
        try:
            logprobs = self.run_uncounted(pieces)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            log.warning("out of memory in a pass: all kept prefixes are dropped")
            self._cache.drop_kept()
            if self._cache.layout.device.type == "cuda":
                torch.cuda.empty_cache()
            logprobs = self.run_uncounted(pieces)
        pass_ms = self._clock.now_ms() - started_ms
        n_tokens = sum(row.n_tokens for row in shape)
        self.costs.note(n_tokens, pass_ms)
        self.work += EngineWork(
            n_passes=1,
            n_pass_tokens=n_tokens,
            pass_ms=pass_ms,
            flops=self.cost.flops(shape),
            bytes_read=self.cost.bytes_read(shape),
        )
        return logprobs

    def run_uncounted(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """The same for measuring: no work that anybody asked for, and no second try."""
        return run_pass(self._transformer, self._cache.pool, pieces)


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA and Python have types for it; the CPU's allocator only has its words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
