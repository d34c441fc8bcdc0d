"""Many programs through the sandbox, side by side; each different one runs once.

Owns the pool, and the sorting out of Python that does not parse, which is half of what small
models write: many such texts are looked at in one cage, and are then not run. Raises what the
sandbox raises.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fimble_eval.sandbox.sandbox import Limits, Outcome, Program, Verdict, run

__all__ = ["judge_all", "parse_all"]

_BATCH = 100
# The parser alone is asked; nothing of the texts is run.
_CHECK = """import sys
for index in range(int(sys.argv[1])):
    with open(f"{index}.txt", encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    try:
        compile(text, "text", "exec")
    except BaseException:
        print(index)
"""


def judge_all(
    programs: Sequence[Program],
    limits: Limits,
    *,
    on_judged: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """The outcome of each program, in their order."""
    known: dict[tuple[object, ...], int] = {}
    places = [known.setdefault(_key(program), len(known)) for program in programs]
    distinct = [programs[places.index(place)] for place in range(len(known))]

    def judge(program: Program) -> Outcome:
        outcome = run(program, limits)
        on_judged()
        return outcome

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        outcomes = list(pool.map(judge, distinct))
    for _ in range(len(programs) - len(distinct)):
        on_judged()
    return [outcomes[place] for place in places]


def parse_all(sources: Sequence[str]) -> list[bool]:
    """Which Python sources parse. What cannot be told, as after a crash, counts as parsing."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        batches = [sources[start : start + _BATCH] for start in range(0, len(sources), _BATCH)]
        return [is_sound for found in pool.map(_parse_batch, batches) for is_sound in found]


def _parse_batch(sources: Sequence[str]) -> list[bool]:
    python = str(Path(sys.executable).resolve())
    files = {f"{index}.txt": source for index, source in enumerate(sources)}
    program = Program(
        files=files | {"check.py": _CHECK},
        steps=((python, "-I", "-S", "-W", "ignore", "check.py", str(len(sources))),),
    )
    outcome = run(program, Limits())
    if outcome.verdict is not Verdict.PASSED:
        return [True] * len(sources)
    broken = {int(line) for line in outcome.output.split()}
    return [index not in broken for index in range(len(sources))]


def _key(program: Program) -> tuple[object, ...]:
    return (tuple(sorted(program.files.items())), program.steps, program.success_code)
