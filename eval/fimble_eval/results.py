"""Results on disk: a table of tasks (CSV), a picture (PNG), and the summary (JSON).

Owns names and forms. Never holds a benchmark's or a repository's text, only figures about it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble_eval.machine import describe_machine
from fimble_eval.rivals.choosing import Rival
from fimble_eval.statistics.bootstrap import Interval, mean_interval
from fimble_server.errors import FimbleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Result",
    "circumstances",
    "percent",
    "read_table",
    "share_of",
    "stem_for",
    "write_result",
]

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measurement: a row a task, and the summary that is its one JSON line."""

    rows: tuple[Row, ...]
    summary: Mapping[str, object]


def circumstances(rival: Rival) -> dict[str, object]:
    """What was measured, on what and when: for the summary of every result."""
    info = rival.engine.model
    return {
        "model": rival.label,
        "weights": rival.fingerprint,
        "n_parameters": info.n_parameters,
        "dtype": info.dtype,
        "device": info.device,
        **asdict(describe_machine()),
    }


def share_of(rows: Sequence[Row], column: str) -> dict[str, float]:
    """The mean of a column, and its 95 % interval by resampling the rows' groups."""
    values = [float(str(row[column])) for row in rows]
    interval = mean_interval(values, [str(row["group"]) for row in rows])
    return _rounded(interval)


def _rounded(interval: Interval) -> dict[str, float]:
    return {
        "mean": round(interval.mean, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
    }


def percent(share: Mapping[str, float]) -> str:
    """A share with its interval, for reading."""
    return f"{share['mean']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


def stem_for(*parts: str) -> str:
    """A file name from what was measured. The date is in the file, so that a rerun replaces it."""
    return "-".join(re.sub(r"[^A-Za-z0-9.@_]+", "-", part).strip("-") for part in parts if part)


def write_result(
    folder: Path, stem: str, result: Result, draw: Callable[[Axes], None] | None
) -> None:
    """Write the files of a result, in place of those of the same stem."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / stem
    text = json.dumps(result.summary, indent=2) + "\n"
    path.with_name(f"{stem}.json").write_text(text, encoding="utf-8")
    with path.with_name(f"{stem}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(result.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.rows)
    if draw is not None:
        _draw(path.with_name(f"{stem}.png"), draw)


def _draw(path: Path, draw: Callable[[Axes], None]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FimbleError(
            expected="matplotlib, for the picture",
            found="none",
            to_do="Install fimble[eval], or leave --out away.",
        ) from error
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    draw(figure.subplots())
    figure.savefig(path, dpi=100, metadata={"Software": None})


def read_table(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a result's CSV. Raises `FimbleError` where it has not these columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FimbleError(
            expected="a result's CSV file",
            found=f"{type(error).__name__} at {path}",
            to_do="Name one that another verb of fimble-eval wrote with --out.",
        ) from error
    lacking = [name for name in required if not rows or rows[0].get(name) is None]
    if lacking:
        known = ", ".join(rows[0]) if rows else "no rows"
        raise FimbleError(
            expected=f"a column {', '.join(lacking)} in {path.name}",
            found=known,
            to_do="Choose a column that the file has.",
        )
    return rows
