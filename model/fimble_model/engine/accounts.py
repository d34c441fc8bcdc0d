"""What an engine has done and what it holds: numbers for whoever watches it.

Owns two values and no more. `protocol` gives them out with the rest of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EngineHoldings", "EngineWork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWork:
    """What an engine has done since it was built, all rows together; it only grows.

    `n_pass_tokens` were computed in `n_passes` of the network, which took `pass_ms`. By the
    network's shape (see `network.cost`) these passes had to do `flops` and read `bytes_read`:
    over the time they took, that is the rate which the machine really reached.
    """

    n_passes: int = 0
    n_pass_tokens: int = 0
    pass_ms: float = 0.0
    flops: int = 0
    bytes_read: int = 0

    def __add__(self, other: EngineWork) -> EngineWork:
        """The work of both."""
        return EngineWork(
            n_passes=self.n_passes + other.n_passes,
            n_pass_tokens=self.n_pass_tokens + other.n_pass_tokens,
            pass_ms=self.pass_ms + other.pass_ms,
            flops=self.flops + other.flops,
            bytes_read=self.bytes_read + other.bytes_read,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHoldings:
    """What an engine holds at a moment: matrices, keys and values in use or kept, and rows."""

    weight_bytes: int = 0
    cache_bytes: int = 0
    cache_limit_bytes: int = 0
    n_rows: int = 0
    n_waiting: int = 0
