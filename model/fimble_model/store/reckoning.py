"""What a model would need and how fast it would be on a machine, before it is fetched.

Owns the arithmetic. Pure: the machine's numbers are passed in. A token that is generated reads
every weight once, so its time is bytes over bandwidth; a keystroke is one pass over the few
tokens that are new, and then a line of them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Machine", "Reckoning", "reckon"]

# A line as it is suggested, and tokens that one pass verifies or prefills beside the first.
_LINE_TOKENS = 8
# What the process needs besides: interpreter, libraries, tokenizer. Measured with the small model.
_PROCESS_BYTES = 350 * 2**20
_CACHE_TOKENS = 4096
# A pass reaches about this share of the bandwidth that a plain read does. See eval/results.
_REACHED_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the model would run. `bandwidth_bytes_s` was measured by reading, on its cores."""

    free_bytes: int
    bandwidth_bytes_s: float
    bytes_per_weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """Memory, and the wait at a keystroke: to the first token, and to a whole line."""

    needed_bytes: int
    fits: bool
    first_token_ms: float
    line_ms: float


def reckon(
    *, n_parameters: int, n_layers: int, n_key_heads: int, head_size: int, machine: Machine
) -> Reckoning:
    """The reckoning for a model's numbers.

    >>> fast = Machine(free_bytes=8 * 2**30, bandwidth_bytes_s=20e9)
    >>> half_b = dict(n_parameters=500_000_000, n_layers=24, n_key_heads=2, head_size=64)
    >>> round(reckon(**half_b, machine=fast).first_token_ms)
    42
    """
    weight_bytes = n_parameters * machine.bytes_per_weight
    slot_bytes = 2 * n_layers * n_key_heads * head_size * 4
    needed_bytes = _PROCESS_BYTES + weight_bytes + _CACHE_TOKENS * slot_bytes
    pass_ms = 1000 * weight_bytes / (_REACHED_SHARE * machine.bandwidth_bytes_s)
    return Reckoning(
        needed_bytes=needed_bytes,
        fits=needed_bytes < machine.free_bytes,
        first_token_ms=pass_ms,
        line_ms=pass_ms * _LINE_TOKENS,
    )
