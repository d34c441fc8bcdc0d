"""A benchmark searched for in a corpus, and the table that says which tasks are touched.

Owns how both are read. A corpus is a folder of source files, or JSON lines with a text in each,
as the workshop keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fimble_eval.benchmarks.task_file import Record
from fimble_eval.contamination.overlap import Finding, Overlaps
from fimble_eval.machine import describe_machine
from fimble_eval.results import Result
from fimble_server.errors import FimbleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CorpusText", "draw_contamination", "read_corpus", "search"]

# All that a task says, its tests too.
_PARTS = ("prompt", "declaration", "canonical_solution", "suffix", "test")
_MOST_FILE_BYTES = 5_000_000


class CorpusText(NamedTuple):
    """A document's name and text."""

    name: str
    text: str


def read_corpus(place: Path) -> Iterator[CorpusText]:
    """The corpus's documents. Raises `FimbleError` where a line is of another shape."""
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    for path in paths:
        if path.suffix == ".jsonl":
            yield from _read_lines(path)
        elif path.is_file() and path.stat().st_size <= _MOST_FILE_BYTES:
            data = path.read_bytes()
            if b"\0" not in data:
                yield CorpusText(
                    str(path.relative_to(place.parent)), data.decode("utf-8", "replace")
                )


def _read_lines(path: Path) -> Iterator[CorpusText]:
    n_read = 0
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                n_read += 1
                document: dict[str, Any] = json.loads(line)
                name = f"{document.get('package', path.stem)}/{document.get('path', n_read)}"
                yield CorpusText(name, str(document["text"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FimbleError(
            expected='JSON lines with a "text" each',
            found=f"{type(error).__name__} at line {n_read} of {path.name}",
            to_do="Name a corpus as `fimble-train` keeps it, or a folder of source files.",
        ) from error


def search(
    records: Sequence[Record], corpus: Iterator[CorpusText], *, on_document: Callable[[], None]
) -> Result:
    """Look for every task in every document. Tasks of one text are looked for once."""
    texts = {
        record["task_id"]: "\n".join(record.get(part, "") for part in _PARTS) for record in records
    }
    first_of: dict[str, str] = {}
    for task_id, text in texts.items():
        first_of.setdefault(text, task_id)
    overlaps = Overlaps({task_id: text for text, task_id in first_of.items()})
    n_documents = n_chars = 0
    for name, text in corpus:
        overlaps.look_at(name, text)
        n_documents, n_chars = n_documents + 1, n_chars + len(text)
        on_document()
    rows = [_row(task_id, overlaps.findings[first_of[text]]) for task_id, text in texts.items()]
    n_touched = sum(int(str(row["touched"])) for row in rows)
    summary: dict[str, object] = {
        "n_tasks": len(rows),
        "n_touched": n_touched,
        "touched_share": round(n_touched / len(rows), 4),
        "n_with_a_13_word_stretch": sum(1 for row in rows if row["n_found"]),
        "highest_near_share": max(float(str(row["near_share"])) for row in rows),
        "n_documents": n_documents,
        "n_chars": n_chars,
    }
    machine = describe_machine()
    summary |= {"date": machine.date, "commit": machine.commit}
    return Result(rows=tuple(rows), summary=summary)


def _row(task_id: str, finding: Finding) -> dict[str, object]:
    return {
        "task_id": task_id,
        "n_stretches": finding.n_stretches,
        "n_found": finding.n_found,
        "found_share": round(finding.found_share, 4),
        "near_share": round(finding.near_share, 4),
        "near_document": finding.near_document,
        "touched": int(finding.is_touched),
    }


def draw_contamination(result: Result) -> Callable[[Axes], None]:
    """The tasks in the order of how much of them was found."""

    def draw(axes: Axes) -> None:
        for column, label in (
            ("found_share", "13-word stretches in the corpus"),
            ("near_share", "5-word stretches in one place"),
        ):
            shares = sorted((float(str(row[column])) for row in result.rows), reverse=True)
            axes.plot(range(1, len(shares) + 1), shares, label=label)
        axes.axhline(0.5, color="grey", linewidth=0.8, linestyle="--")
        axes.set(xlabel="tasks, most found first", ylabel="share of the task", ylim=(0, 1))
        axes.set_title(f"touched: {result.summary['n_touched']} of {result.summary['n_tasks']}")
        axes.legend()

    return draw
