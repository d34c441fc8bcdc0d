"""llama.cpp as a contender: the same calls as ours, over its low-level interface.

Runs in whatever Python has llama-cpp-python; imports nothing of ours but the loop. Times are of
llama.cpp's own calls, not of the Python around them.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fimble_eval.engine_speed.worker_loop import serve_calls

__all__: list[str] = []


class LlamaContender:
    """One model and one context. Keeps the invariant that its cache holds just `_cached`."""

    def __init__(self) -> None:
        self._cached: list[int] = []

    def load(self, *, path: str, n_threads: int, n_context_tokens: int) -> dict[str, object]:
        """Load a GGUF file; one sequence, chunks as its own default has them."""
        import llama_cpp

        self._api: Any = llama_cpp
        self._log = self._api.llama_log_callback(lambda level, text, data: None)
        self._api.llama_log_set(self._log, ctypes.c_void_p(0))
        self._api.llama_backend_init()
        self._model = self._api.llama_model_load_from_file(
            path.encode(), self._api.llama_model_default_params()
        )
        parameters = self._api.llama_context_default_params()
        parameters.n_ctx = n_context_tokens
        parameters.n_batch = n_context_tokens
        parameters.n_threads = parameters.n_threads_batch = n_threads
        self._context = self._api.llama_init_from_model(self._model, parameters)
        self._memory = self._api.llama_get_memory(self._context)
        self._batch = self._api.llama_batch_init(n_context_tokens, 0, 1)
        self._n_vocabulary = self._api.llama_n_vocab(self._api.llama_model_get_vocab(self._model))
        self._ubatch = parameters.n_ubatch
        return {
            "name": f"llama.cpp (llama-cpp-python {self._api.__version__})",
            "detail": self._api.llama_print_system_info().decode().strip(" |"),
        }

    def passes(self, *, context: list[int], batches: list[dict[str, Any]]) -> list[list[float]]:
        """Milliseconds of each batch's passes, all after the same context."""
        self._keep(context)
        self._feed(context[len(self._cached) :], n_logits=0)
        return [self._time(**batch) for batch in batches]

    def _time(self, *, token_ids: list[int], n_times: int, n_logits: int) -> list[float]:
        n_cached, times_ms = len(self._cached), []
        for _ in range(n_times):
            started_s = time.perf_counter()
            self._feed(token_ids, n_logits=n_logits)
            self._best(-1)
            times_ms.append((time.perf_counter() - started_s) * 1000)
            self._truncate(n_cached)
        return times_ms

    def complete(self, *, prompt: list[int], n_new_tokens: int) -> dict[str, object]:
        """Greedy tokens after a prompt; what the cache holds of it is kept, as its server does."""
        started_s = time.perf_counter()
        self._keep(prompt[:-1])
        n_reused = len(self._cached)
        self._feed(prompt[n_reused:], n_logits=1)
        token_ids = [self._best(-1)]
        while len(token_ids) < n_new_tokens:
            self._feed(token_ids[-1:], n_logits=1)
            token_ids.append(self._best(-1))
        spent_ms = (time.perf_counter() - started_s) * 1000
        return {"spent_ms": spent_ms, "n_reused": n_reused, "token_ids": token_ids}

    def logits(self, *, prompt: list[int]) -> list[float]:
        """What follows a prompt, computed from nothing."""
        self._truncate(0)
        self._feed(prompt, n_logits=1)
        values: list[float] = self._logits(-1).tolist()
        return values

    def forget(self) -> None:
        """Empty the cache."""
        self._truncate(0)

    def _keep(self, token_ids: Sequence[int]) -> None:
        """Roll the cache back to what it shares with these tokens."""
        n_shared = 0
        for ours, theirs in zip(self._cached, token_ids, strict=False):
            if ours != theirs:
                break
            n_shared += 1
        self._truncate(n_shared)

    def _truncate(self, n_tokens: int) -> None:
        if n_tokens < len(self._cached):
            self._api.llama_memory_seq_rm(self._memory, 0, n_tokens, -1)
            del self._cached[n_tokens:]

    def _feed(self, token_ids: Sequence[int], *, n_logits: int) -> None:
        """Compute tokens after the cached ones; the last `n_logits` are asked what follows."""
        if not token_ids:
            return
        batch, start, n_tokens = self._batch, len(self._cached), len(token_ids)
        batch.n_tokens = n_tokens
        for index, token_id in enumerate(token_ids):
            batch.token[index] = token_id
            batch.pos[index] = start + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index >= n_tokens - n_logits
        failure = self._api.llama_decode(self._context, batch)
        assert failure == 0, f"llama_decode returned {failure}"
        self._cached.extend(token_ids)
        self._api.llama_synchronize(self._context)

    def _logits(self, index: int) -> Any:
        """The logits of one of the last tokens, as an array over llama.cpp's own memory."""
        pointer = self._api.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocabulary,))

    def _best(self, index: int) -> int:
        return int(self._logits(index).argmax())


if __name__ == "__main__":
    contender = LlamaContender()
    serve_calls(
        {
            "load": contender.load,
            "passes": contender.passes,
            "complete": contender.complete,
            "logits": contender.logits,
            "forget": contender.forget,
        }
    )
