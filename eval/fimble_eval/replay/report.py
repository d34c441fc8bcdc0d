"""A replay's figures as a table, as CSV, as a page and as one JSON line.

Owns the columns and their words. Pure but for the files it is told to write.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping

from rich.table import Table

from fimble_eval.replay.figures import Figures

__all__ = ["draw", "to_csv", "to_markdown"]

# A figure's name, what stands above its column, and how its number is written.
_COLUMNS = (
    ("saved_share", "saved", "{:.1%}"),
    ("saved_keys_share", "keys saved", "{:.1%}"),
    ("shown", "shown", "{}"),
    ("kept", "kept", "{}"),
    ("kept_share", "kept share", "{:.1%}"),
    ("kept_char_share", "kept chars", "{:.1%}"),
    ("vain_chars", "in vain", "{}"),
    ("swaps", "swaps", "{}"),
    ("vanished", "vanished", "{}"),
    ("reuse_share", "reuse", "{:.1%}"),
    ("reused_token_share", "cached", "{:.1%}"),
    ("late_share", "late", "{:.1%}"),
    ("wall_p50_ms", "p50 ms", "{:.1f}"),
    ("wall_p95_ms", "p95 ms", "{:.1f}"),
    ("cpu_p50_ms", "cpu p50", "{:.1f}"),
    ("cpu_p95_ms", "cpu p95", "{:.1f}"),
    ("wait_p95_ms", "wait p95", "{:.0f}"),
    ("wait_after_take_p50_ms", "after take", "{:.0f}"),
)


def draw(rows: Mapping[str, Figures], *, title: str) -> Table:
    """For a terminal: one row for each name."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for _, heading, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *_cells(figures))
    return table


def to_markdown(rows: Mapping[str, Figures]) -> str:
    """The same as a table of a page."""
    lines = [
        "| | " + " | ".join(heading for _, heading, _ in _COLUMNS) + " |",
        "|---|" + "---:|" * len(_COLUMNS),
    ]
    lines += [f"| {name} | " + " | ".join(_cells(figures)) + " |" for name, figures in rows.items()]
    return "\n".join(lines) + "\n"


def to_csv(rows: Mapping[str, Figures]) -> str:
    """All figures, under their own names."""
    written = io.StringIO()
    names = [field.name for field in dataclasses.fields(Figures)]
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["part", *names])
    for name, figures in rows.items():
        writer.writerow([name, *dataclasses.astuple(figures)])
    return written.getvalue()


def _cells(figures: Figures) -> list[str]:
    return [form.format(getattr(figures, name)) for name, _, form in _COLUMNS]
