"""What this machine can do at most: operations and bytes a second, measured on its own kernels.

Owns the two measurements that utilisation is a share of. They take about a tenth of a second of
every thread that the model uses: never call them while somebody waits. Torch is imported inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimble_model.engine.protocol import ModelInfo

if TYPE_CHECKING:
    import torch

__all__ = ["Ceilings", "measure_ceilings"]

# Several times the largest last-level cache of a desktop, so that it must come from memory.
_READ_BYTES = 192 * 2**20
_N_TIMES = 5
_WIDTH = 1024
_N_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The best of some runs. `flops_per_s` is of a matrix product in the model's own numbers.

    `bytes_per_s` is of reading a large array once, with as many threads as the model has.
    """

    flops_per_s: float
    bytes_per_s: float


def measure_ceilings(model: ModelInfo) -> Ceilings:
    """The ceilings of the device and the numbers that a model computes in."""
    import torch

    device = torch.device(model.device)
    with torch.inference_mode():
        multiply = _product(model, device)
        array = torch.ones(_READ_BYTES // 4, device=device)
        return Ceilings(
            flops_per_s=2 * _N_ROWS * _WIDTH * _WIDTH / _best_s(multiply, device),
            bytes_per_s=_READ_BYTES / _best_s(lambda: array.sum(), device),
        )


def _product(model: ModelInfo, device: torch.device) -> Callable[[], object]:
    """One large matrix product, as the network would have it done."""
    import torch

    from fimble_model.network.native.linear import PanelLinear
    from fimble_model.network.quantization import Int8Linear

    rows, weight = torch.rand(_N_ROWS, _WIDTH), torch.rand(_WIDTH, _WIDTH)
    if model.dtype == "int8" and device.type == "cpu":
        kind = Int8Linear if model.kernels == "torch" else PanelLinear
        linear = kind(weight, None)
        return lambda: linear(rows)
    # A GPU computes in bfloat16 with rounded weights too.
    numbers = torch.float32 if model.dtype == "float32" else torch.bfloat16
    placed_rows, placed_weight = rows.to(device, numbers), weight.to(device, numbers)
    return lambda: placed_rows @ placed_weight


def _best_s(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of some runs, in seconds: others on the machine only ever slow one down."""
    import torch

    times_s = []
    for _ in range(_N_TIMES):
        started_s = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)
