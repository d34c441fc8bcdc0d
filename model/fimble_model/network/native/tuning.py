"""How many threads share a pass, found by trying.

Owns the measurement that is made once, at load, and the rule that reads it. It changes no bit of
any result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import count_cores, plan_native_threads
from fimble_model.network.native.library import PAGE_SLOTS, set_threads
from fimble_model.network.native.network import NativeNetwork, PassRow

__all__ = ["choose_threads", "pick_fewest"]

# The quickest of some passes: what else the machine does can only slow one down. Their size is
# between that of a step of decoding and that of a chunk of prefill.
_N_TRIALS = 5
_N_TOKENS = 8
_WORTH_A_THREAD = 1.1


def choose_threads(native: NativeNetwork, config: NetworkConfig, n_threads: int | None) -> int:
    """Set the threads of all native passes to what was asked, or to what is quickest here.

    Takes as long as a dozen short passes.
    """
    if n_threads is not None:
        return set_threads(n_threads)
    best_s: dict[int, float] = {}
    most = plan_native_threads(count_cores())
    count = 1
    while count <= most:
        if set_threads(count) == count:
            best_s[count] = _time_pass(native, config)
        count *= 2
    return set_threads(pick_fewest(best_s))


def pick_fewest(best_s: Mapping[int, float]) -> int:
    """The fewest threads that are nearly as quick as any number.

    >>> pick_fewest({1: 0.0031, 2: 0.0018, 4: 0.0017})
    2
    """
    quickest = min(best_s.values())
    return min(count for count, time_s in best_s.items() if time_s <= _WORTH_A_THREAD * quickest)


def _time_pass(native: NativeNetwork, config: NetworkConfig) -> float:
    pages = (config.n_layers, 1, config.n_key_heads)
    keys_LPKDS = torch.zeros(*pages, config.head_size, PAGE_SLOTS, dtype=torch.float16)
    values_LPKSD = torch.zeros(*pages, PAGE_SLOTS, config.head_size, dtype=torch.float16)
    row = PassRow(token_ids=(0,) * _N_TOKENS, n_cached=0, n_silent=0, pages=(0,))
    times_s = []
    for _ in range(_N_TRIALS):
        start_s = time.perf_counter()
        native.run_pass([row], keys_LPKDS, values_LPKSD)
        times_s.append(time.perf_counter() - start_s)
    return min(times_s)
