"""One line of the result: what was measured, beside what, and whether that is what was wanted.

Owns the form of a line and of a part's result. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["PartResult", "Row", "at_most", "beside", "median", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measure, ours and the other's in `unit`, and a figure of merit with its target.

    `merit` is a ratio or a share, said in `merit_words`; it should be at least `target`, or at
    most where `is_ceiling`. None for a target asks for nothing.
    """

    measure: str
    unit: str
    ours: float
    other: float | None
    other_name: str
    merit: float | None
    merit_words: str
    target: float | None
    is_ceiling: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None or self.merit is None:
            return None
        return self.merit <= self.target if self.is_ceiling else self.merit >= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What one part found. `details` holds what a table has no place for, JSON-ready."""

    rows: tuple[Row, ...]
    details: Mapping[str, object] = field(default_factory=dict)


def at_most(
    target: float | None, measure: str, unit: str, value: float, *, words: str = "", note: str = ""
) -> Row:
    """A row of a value that stands alone and should be no more than `target`.

    >>> at_most(10.0, "first token", "ms", 8.0).is_met
    True
    """
    return Row(
        measure=measure,
        unit=unit,
        ours=value,
        other=None,
        other_name="",
        merit=value,
        merit_words=words or unit,
        target=target,
        is_ceiling=True,
        note=note,
    )


def median(values: Sequence[float]) -> float:
    """The middle value.

    >>> median([3.0, 1.0, 2.0])
    2.0
    """
    return float(np.median(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them lie below; 0 of none."""
    return float(np.percentile(values, percent)) if values else 0.0


def beside(
    measure: str,
    ours_ms: Sequence[float],
    other_ms: Sequence[float],
    *,
    other_name: str,
    target: float,
    note: str = "",
) -> Row:
    """Two contenders' times for the same work: how many times as fast ours is, by the medians."""
    ours, other = median(ours_ms), median(other_ms)
    return Row(
        measure=measure,
        unit="ms",
        ours=round(ours, 3),
        other=round(other, 3),
        other_name=other_name,
        merit=round(other / ours, 3),
        merit_words="times as fast",
        target=target,
        note=note,
    )
