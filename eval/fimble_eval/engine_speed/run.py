"""All parts of the measurement, one process after another, and what came of each.

Owns the order and the wall around each part. Measures nothing itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fimble_eval.engine_speed.options import EngineOptions
from fimble_eval.engine_speed.rows import Row

__all__ = ["PartOutcome", "run_parts"]

_PART_LIMIT_S = 420.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOutcome:
    """A part's rows, or why there are none."""

    name: str
    rows: tuple[Row, ...] = ()
    details: dict[str, object] = field(default_factory=dict)
    skipped: str | None = None
    failed: str | None = None


def run_parts(
    names: Sequence[str], options: EngineOptions, *, on_part: Callable[[str], None]
) -> list[PartOutcome]:
    """Run the parts in order. `on_part` is told each name before it runs."""
    outcomes = []
    for name in names:
        on_part(name)
        outcomes.append(_run(name, options))
    return outcomes


def _run(name: str, options: EngineOptions) -> PartOutcome:
    values = asdict(options)
    values["work"] = str(options.work)
    values["large"] = None if options.large is None else str(options.large)
    command = [sys.executable, "-m", "fimble_eval.engine_speed.part", name, json.dumps(values)]
    try:
        finished = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=_PART_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return PartOutcome(name=name, failed=f"took longer than {_PART_LIMIT_S:.0f} s")
    lines = finished.stdout.splitlines()
    if finished.returncode or not lines:
        return PartOutcome(name=name, failed=f"its process ended with {finished.returncode}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return PartOutcome(
        name=name,
        rows=tuple(Row(**row) for row in answer.get("rows", ())),
        details=answer.get("details", {}),
        skipped=answer.get("skipped"),
        failed=answer.get("failed"),
    )
