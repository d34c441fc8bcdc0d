"""What cleaning reports, and the file it reports to.

Owns the report's form. Never counts anything itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fimble_model.training.faults import TrainingError

__all__ = ["CleanReport", "load_clean_report", "write_clean_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanReport:
    """What cleaning left, by package in characters, and what each filter removed, in files."""

    n_train_files: int
    n_train_chars: int
    n_held_out_files: int
    n_held_out_chars: int
    n_benchmark_grams: int
    removed: dict[str, int]
    changed: dict[str, int]
    package_chars: dict[str, int]


def write_clean_report(report: CleanReport, corpus_folder: Path) -> None:
    """Leave the report where `load_clean_report` finds it."""
    text = json.dumps(asdict(report), indent=1) + "\n"
    (corpus_folder / "clean.json").write_text(text, encoding="utf-8")


def load_clean_report(corpus_folder: Path) -> CleanReport:
    """The report that `Workshop.clean` left."""
    path = corpus_folder / "clean.json"
    if not path.is_file():
        raise TrainingError(
            expected=f"a report in {path}",
            found="no such file",
            to_do="Run `fimble-train clean` first.",
        )
    return CleanReport(**json.loads(path.read_text(encoding="utf-8")))
