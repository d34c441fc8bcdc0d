"""HumanEval and HumanEval-X: whole functions written from their descriptions, judged by tests.

Owns the order of the work and the table's columns. One file holds one language's tasks. A task
whose own solution does not pass on this machine, for want of a library, is set aside by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fimble_eval.benchmarks.judging import judge_all
from fimble_eval.benchmarks.programs import LIMITS, build_program, language_of
from fimble_eval.benchmarks.stop_rules import function_end
from fimble_eval.benchmarks.task_file import Record
from fimble_eval.benchmarks.toolchains import why_lacking
from fimble_eval.filling.hole import Filling, Hole
from fimble_eval.filling.raw import fill_raw
from fimble_eval.results import Result, circumstances, share_of
from fimble_eval.rivals.choosing import Rival
from fimble_eval.sandbox.sandbox import Verdict
from fimble_eval.statistics.estimators import pass_at_k
from fimble_model.engine.protocol import Sampling
from fimble_server.errors import FimbleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["REQUIRED", "Tries", "draw_humaneval", "score_humaneval"]

REQUIRED = ("task_id", "prompt", "canonical_solution", "test")
_MOST_NEW_TOKENS = 256
_EXTENSIONS = {
    "python": ("python", "py"),
    "javascript": ("javascript", "js"),
    "java": ("java", "java"),
    "cpp": ("cpp", "cpp"),
    "go": ("go", "go"),
    "rust": ("rust", "rs"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How often each task is tried, and how: `ks` are the k of pass@k, none above `n_samples`."""

    n_samples: int = 1
    temperature: float = 0.0
    top_p: float = 0.95
    ks: tuple[int, ...] = (1,)

    def samplings(self) -> tuple[Sampling, ...]:
        """One for each sample; greedy ones are all the same."""
        return tuple(
            Sampling(temperature=self.temperature, top_p=self.top_p, seed=index)
            for index in range(self.n_samples)
        )


def score_humaneval(
    records: Sequence[Record],
    rival: Rival,
    tries: Tries,
    *,
    has_memory: bool,
    on_filled: Callable[[], None],
    on_judged: Callable[[], None],
) -> Result:
    """Write and run every task's function `n_samples` times.

    Raises `FimbleError` where the tasks' language has no tools here, or their file is of another
    benchmark.
    """
    language = _require_language(records)
    runnable = _runnable(records, language, on_judged)
    kept = [record for record, is_kept in zip(records, runnable, strict=True) if is_kept]
    if not kept:
        raise FimbleError(
            expected=f"{language} tools that run the tasks' own solutions",
            found="none that pass",
            to_do="Look whether the language's tools work on this machine.",
        )
    holes = [_hole_of(record, language, has_memory=has_memory) for record in kept]
    fillings = _fill(rival, holes, language, tries, on_filled)
    counts = _count_passed(kept, fillings, language, on_judged)
    rows = [
        _row(record, samples, n_passed, tries)
        for record, samples, n_passed in zip(kept, fillings, counts, strict=True)
    ]
    aside = [
        record["task_id"] for record, is_kept in zip(records, runnable, strict=True) if not is_kept
    ]
    summary: dict[str, object] = {
        "benchmark": f"humaneval {language}",
        "has_memory": has_memory,
        "n_tasks": len(rows),
        "set_aside": aside,
        "n_samples": tries.n_samples,
        "temperature": tries.temperature,
        **{f"pass@{k}": share_of(rows, f"pass@{k}") for k in tries.ks},
    }
    return Result(rows=tuple(rows), summary=summary | circumstances(rival))


def _require_language(records: Sequence[Record]) -> str:
    try:
        (language,) = {language_of(record["task_id"]) for record in records}
    except (KeyError, ValueError) as error:
        raise FimbleError(
            expected="tasks of HumanEval or HumanEval-X in one language",
            found=f"tasks such as {records[0]['task_id']!r}",
            to_do="Name one language's file, as published.",
        ) from error
    lack = why_lacking(language)
    if lack is not None:
        raise FimbleError(
            expected=f"the tools to run {language}",
            found=f"a machine without them: {lack}",
            to_do="Install them, or name another language's file.",
        )
    return language


def _runnable(
    records: Sequence[Record], language: str, on_judged: Callable[[], None]
) -> list[bool]:
    """Which tasks' own solutions pass. Python's need nothing but Python."""
    if language == "python":
        return [True] * len(records)
    programs = [build_program(record, record["canonical_solution"]) for record in records]
    outcomes = judge_all(programs, LIMITS[language], on_judged=on_judged)
    return [outcome.verdict is Verdict.PASSED for outcome in outcomes]


def _hole_of(record: Record, language: str, *, has_memory: bool) -> Hole:
    language_id, extension = _EXTENSIONS[language]
    # Rust's descriptions come without the function's head.
    head = record["declaration"] if language == "rust" else ""
    return Hole(
        hole_id=record["task_id"],
        uri=f"file:///humaneval/{record['task_id']}.{extension}",
        language_id=language_id,
        prefix=record["prompt"] + head,
        middle=record["canonical_solution"],
        suffix="",
        memory_scope=record["task_id"] if has_memory else None,
    )


def _fill(
    rival: Rival,
    holes: Sequence[Hole],
    language: str,
    tries: Tries,
    on_filled: Callable[[], None],
) -> list[list[Filling]]:
    fillings = [[Filling(text="")] * tries.n_samples for _ in holes]
    stop = function_end(language)
    for filled in fill_raw(
        rival.engine,
        holes,
        stop_for=lambda hole: stop,
        max_new_tokens=_MOST_NEW_TOKENS,
        samplings=tries.samplings(),
    ):
        fillings[filled.hole_index][filled.sample_index] = filled.filling
        on_filled()
    return fillings


def _count_passed(
    records: Sequence[Record],
    fillings: Sequence[Sequence[Filling]],
    language: str,
    on_judged: Callable[[], None],
) -> list[int]:
    """How many of each task's samples pass."""
    programs = [
        build_program(record, _completion(filling, language))
        for record, samples in zip(records, fillings, strict=True)
        for filling in samples
    ]
    outcomes = judge_all(programs, LIMITS[language], on_judged=on_judged)
    passed = iter(outcome.verdict is Verdict.PASSED for outcome in outcomes)
    return [sum(next(passed) for _ in samples) for samples in fillings]


def _completion(filling: Filling, language: str) -> str:
    return filling.text + "\n}" if language == "java" else filling.text


def _row(
    record: Record, samples: Sequence[Filling], n_passed: int, tries: Tries
) -> Mapping[str, object]:
    estimates = {
        f"pass@{k}": round(pass_at_k(n_samples=tries.n_samples, n_passed=n_passed, k=k), 6)
        for k in tries.ks
    }
    return {
        "task_id": record["task_id"],
        "group": record["task_id"],
        "n_samples": tries.n_samples,
        "n_passed": n_passed,
        **estimates,
        "mean_tokens": round(float(np.mean([filling.n_tokens for filling in samples])), 1),
    }


def draw_humaneval(result: Result, ks: Sequence[int]) -> Callable[[Axes], None]:
    """pass@k over k, with its interval."""

    def draw(axes: Axes) -> None:
        shares = [share_of(result.rows, f"pass@{k}") for k in ks]
        means = np.array([share["mean"] for share in shares])
        below = means - np.array([share["low"] for share in shares])
        above = np.array([share["high"] for share in shares]) - means
        axes.errorbar(ks, means, yerr=np.stack([below, above]), marker="o", capsize=4)
        axes.set(xlabel="k", ylabel="pass@k", ylim=(0, None), xticks=list(ks))
        axes.set_title(f"{result.summary['benchmark']}: {result.summary['model']}")

    return draw
