"""Our engine as a contender: passes as the network runs them, completions as the engine does.

Needs torch. Runs no server: what the language server adds is measured by the typists.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fimble_eval.engine_speed.worker_loop import serve_calls
from fimble_model.assembly import layout_of
from fimble_model.engine.kv_cache import KvCache, KvRow
from fimble_model.engine.protocol import FinishReason, Prompt, Request, RequestId, TokenId
from fimble_model.engine.ragged_pass import Piece, run_pass
from fimble_model.engine.stopping import NeverStop
from fimble_model.loading import load
from fimble_model.network.device import choose_placement
from fimble_model.network.weights import load_network

__all__: list[str] = []

_READ_BYTES = 192 * 2**20
_N_READS = 15


class OurContender:
    """An engine for completions, and beside it a network of the same weights for passes alone."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def load(self, *, path: str, n_threads: int, n_context_tokens: int) -> dict[str, object]:
        """Load a model's folder; `path` may end in `:DTYPE`."""
        name, _, dtype = path.partition(":")
        self._folder, self._dtype, self._n_threads = Path(name), dtype or "auto", n_threads
        self._n_context_tokens = n_context_tokens
        self._start_engine()
        placement = choose_placement(dtype=self._dtype, n_threads=n_threads)
        self._network = load_network(self._folder, placement)
        layout = layout_of(self._network, placement)
        self._cache = KvCache(layout, 2 * n_context_tokens * layout.bytes_per_token)
        model = self._engine.model
        return {
            "name": f"Fimble ({model.dtype})",
            "detail": f"torch {torch.__version__}",
            "weight_bytes": self._engine.holdings.weight_bytes,
            "slot_bytes": layout.bytes_per_token,
        }

    def _start_engine(self) -> None:
        self._engine = load(self._folder, n_threads=self._n_threads, dtype=self._dtype)

    def passes(self, *, context: list[int], batches: list[dict[str, Any]]) -> list[list[float]]:
        """Milliseconds of each batch's passes, all after the same context."""
        longest = max(len(batch["token_ids"]) for batch in batches)
        row = self._cache.try_acquire([TokenId(0)], len(context) + longest)
        assert row is not None, "the cache was made for one row"
        if context:
            self._feed(row, context, len(context))
        times_ms = [self._time(row, **batch) for batch in batches]
        self._cache.discard(row)
        return times_ms

    def _time(
        self, row: KvRow, *, token_ids: list[int], n_times: int, n_logits: int
    ) -> list[float]:
        n_cached, times_ms = len(row.token_ids), []
        for _ in range(n_times):
            started_s = time.perf_counter()
            int(self._feed(row, token_ids, len(token_ids) - n_logits)[-1].argmax())
            times_ms.append((time.perf_counter() - started_s) * 1000)
            row.truncate(n_cached)
        return times_ms

    def _feed(self, row: KvRow, token_ids: Sequence[int], n_silent: int) -> Tensor:
        piece = Piece(row, [TokenId(each) for each in token_ids], n_silent)
        with torch.inference_mode():
            return run_pass(self._network, self._cache.pool, [piece])[0]

    def complete(self, *, prompt: list[int], n_new_tokens: int) -> dict[str, object]:
        """Greedy tokens after a prompt, as the engine serves them."""
        started_s = time.perf_counter()
        request = Request(
            request_id=RequestId(str(next(self._numbers))),
            prompt=Prompt(token_ids=tuple(TokenId(each) for each in prompt)),
            max_new_tokens=n_new_tokens,
            stop=NeverStop(),
        )
        self._engine.add(request)
        finish = None
        while self._engine.has_work:
            for delta in self._engine.step():
                finish = delta.finish or finish
        spent_ms = (time.perf_counter() - started_s) * 1000
        assert finish is not None
        assert finish.reason in (FinishReason.LENGTH, FinishReason.END_TOKEN), finish.reason
        return {
            "spent_ms": spent_ms,
            "n_reused": finish.n_reused_tokens,
            "token_ids": [token.token_id for token in finish.tokens],
            "n_passes": finish.n_passes,
        }

    def logits(self, *, prompt: list[int]) -> list[float]:
        """The logarithms of the probabilities of what follows a prompt, computed from nothing."""
        row = self._cache.try_acquire([TokenId(0)], len(prompt))
        assert row is not None, "the cache was made for one row"
        logprobs_LV = self._feed(row, prompt, len(prompt) - 1)
        self._cache.discard(row)
        values: list[float] = logprobs_LV[-1].tolist()
        return values

    def forget(self) -> None:
        """Start the engine anew: nothing is cached."""
        self._start_engine()

    def read_bandwidth(self) -> float:
        """Bytes a second of reading a large array once, the median of some reads."""
        torch.set_num_threads(self._n_threads)  # The native kernels have threads of their own.
        array = torch.ones(_READ_BYTES // 4)
        times_s = []
        for _ in range(_N_READS):
            started_s = time.perf_counter()
            array.sum()
            times_s.append(time.perf_counter() - started_s)
        return _READ_BYTES / sorted(times_s)[len(times_s) // 2]


if __name__ == "__main__":
    contender = OurContender()
    serve_calls(
        {
            "load": contender.load,
            "passes": contender.passes,
            "complete": contender.complete,
            "logits": contender.logits,
            "forget": contender.forget,
            "read_bandwidth": contender.read_bandwidth,
        }
    )
