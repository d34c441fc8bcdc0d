"""A folder of results as one page that says which file shows what, made from the files themselves.

Owns the page's form. Measures nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fimble_eval.results import percent
from fimble_server.errors import FimbleError

__all__ = ["INDEX_FILE", "build_index", "write_index"]

INDEX_FILE = "README.md"
_HEAD = """# Results

Made by `fimble-eval results` from the files of this folder. A score is a table of its tasks (CSV),
a summary (JSON) and a picture (PNG); shares come with their 95 % interval. `model@commit` names a
model that ships by the commit its weights came with; `commit` is Fimble's own at the time.
"""
_SCORES = """
## Scores

| file | what | model | tasks | score | commit | date |
|---|---|---|---|---|---|---|
"""
_COMPARISONS = """
## Comparisons, task by task

| first, and the other less the first | of | tasks | means | difference | tells them apart |
|---|---|---|---|---|---|
"""
_OTHERS = """
## Other measurements

| file | commit | date |
|---|---|---|
"""

Summary = Mapping[str, Any]


def write_index(folder: Path) -> Path:
    """Write the page into the folder. Raises `FimbleError` where one of its files is broken."""
    path = folder / INDEX_FILE
    path.write_text(build_index(folder), encoding="utf-8")
    return path


def build_index(folder: Path) -> str:
    """The page: scores, comparisons and everything else, each in the order of its names."""
    scores, comparisons, others = [], [], []
    for path in sorted(folder.glob("*.json")):
        summary = _read(path)
        if "first" in summary and "difference" in summary:
            comparisons.append(_comparison(summary))
        elif "benchmark" in summary and not {"n_tasks", "n_holes"}.isdisjoint(summary):
            scores.append(_score(path.stem, summary))
        else:
            others.append(_row(_files(path), summary.get("commit"), summary.get("date")))
    text = _HEAD
    for head, rows in ((_SCORES, scores), (_COMPARISONS, comparisons), (_OTHERS, others)):
        text += head + "".join(rows) if rows else ""
    return text


def _read(path: Path) -> Summary:
    try:
        summary: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FimbleError(
            expected=f"a result's summary in {path.name}",
            found=f"{type(error).__name__}",
            to_do="Remove the file, or measure again.",
        ) from error
    if not isinstance(summary, dict):
        return {}
    return summary


def _score(stem: str, summary: Summary) -> str:
    what = str(summary["benchmark"])
    if "view" in summary:
        what += f", {summary['view']}"
    if summary.get("n_samples", 1) > 1:
        what += f", {summary['n_samples']} samples at {summary['temperature']}"
    if "corpus" in summary:
        what += f" in {summary['corpus']}"
    n_tasks = summary.get("n_tasks", summary.get("n_holes", ""))
    model = summary.get("model")
    return _row(
        f"[`{stem}`]({stem}.csv)", what, model, n_tasks, _figures(summary),
        summary.get("commit"), summary.get("date"),
    )  # fmt: skip


def _figures(summary: Summary) -> str:
    if "by_kind" in summary:
        return "exact: " + "; ".join(
            f"{kind} {percent(scores['exact'])}" for kind, scores in summary["by_kind"].items()
        )
    if "n_touched" in summary:
        return f"{summary['n_touched']} tasks touched"
    names = [name for name in ("pass@1", "pass@10", "exact", "parses") if name in summary]
    return "; ".join(f"{name} {percent(summary[name])}" for name in names)


def _comparison(summary: Summary) -> str:
    low, high = summary["low"], summary["high"]
    kind = f", {summary['kind']}" if summary.get("kind") else ""
    return _row(
        f"`{summary['first']}`, `{summary['second']}`",
        f"{summary['column']}{kind}",
        summary["n_tasks"],
        f"{summary['first_mean']:.1%}, {summary['second_mean']:.1%}",
        f"{summary['difference']:+.1%} ({low:+.1%} to {high:+.1%})",
        "yes" if summary["excludes_zero"] else "no",
    )


def _files(path: Path) -> str:
    forms = sorted(other.suffix for other in path.parent.iterdir() if other.stem == path.stem)
    return f"`{path.stem}` ({', '.join(form.removeprefix('.') for form in forms)})"


def _row(*cells: object) -> str:
    return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |\n"
