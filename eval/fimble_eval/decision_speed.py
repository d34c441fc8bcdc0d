"""How long one decision takes in a long file: parse on from the last key, gather facts, plan.

Owns the files that are made up for it, the typing in them, and the figures. No model runs.
"""

from __future__ import annotations

import itertools
import random
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from fimble_eval.decision_scripts import SCRIPTS, Script
from fimble_server.completion.idle_mending import SLICE_BUDGET_MS, is_worth_mending
from fimble_server.completion.mode import decide
from fimble_server.completion.plan import Limits, plan_completion
from fimble_server.completion.signals import Signals
from fimble_server.document.language import Language
from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import mend
from fimble_server.document.syntax import Parsed, inspect, parse

__all__ = ["LANGUAGE_IDS", "DecisionSpeed", "measure_decisions"]

_N_LINES = 5_000
_N_SPOTS = 8
_MARK = "<|>"
LANGUAGE_IDS = tuple(SCRIPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSpeed:
    """Times of one language: from a changed text to its plan, and of the stop rule, per token.

    `cpu_*` leave out the time that the machine gave to others; on a quiet one both are the same.
    `worst_slice_ms` is the longest piece of work on the tree while nobody types.
    """

    language_id: str
    n_lines: int
    n_keys: int
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float
    cpu_worst_ms: float
    worst_slice_ms: float
    first_parse_ms: float
    stop_rule_us_per_token: float


def measure_decisions(language_id: str) -> DecisionSpeed:
    """Type at places all over a file of 5,000 lines and delete it again, key by key.

    Where a word ends the typist rests, and what is left to do on the tree is done in slices.
    """
    script, language = SCRIPTS[language_id], language_for_id(language_id)
    marked = _marked_file(script)
    text = marked.replace(_MARK, "")
    started = time.perf_counter()
    parsed = parse(language, text)
    first_parse_ms = (time.perf_counter() - started) * 1000
    times_ms, cpu_times_ms, slices_ms = [], [], [0.0]
    for edited, cursor in _keys(marked, script.typed):
        started, cpu_started = time.perf_counter(), time.thread_time()
        parsed = _decide(parsed, edited, cursor)
        times_ms.append((time.perf_counter() - started) * 1000)
        cpu_times_ms.append((time.thread_time() - cpu_started) * 1000)
        while edited[cursor - 1].isspace() and is_worth_mending(parsed):
            cpu_started = time.thread_time()
            parsed = mend(parsed, SLICE_BUDGET_MS)
            slices_ms.append((time.thread_time() - cpu_started) * 1000)
    return DecisionSpeed(
        language_id=language_id,
        n_lines=text.count("\n"),
        n_keys=len(times_ms),
        p50_ms=_share(times_ms, 0.5),
        p95_ms=_share(times_ms, 0.95),
        cpu_p50_ms=_share(cpu_times_ms, 0.5),
        cpu_p95_ms=_share(cpu_times_ms, 0.95),
        cpu_worst_ms=_share(cpu_times_ms, 1.0),
        worst_slice_ms=_share(slices_ms, 1.0),
        first_parse_ms=round(first_parse_ms, 1),
        stop_rule_us_per_token=round(_stop_rule_us(language, script), 1),
    )


def _marked_file(script: Script) -> str:
    n_units = _N_LINES // script.unit.count("\n") + 1
    units = (script.unit.replace("§", str(n)) for n in range(n_units))
    return f"{script.head}{''.join(units)}{script.tail}"


def _share(times: list[float], share: float) -> float:
    """The time that this share of all does not exceed."""
    return round(sorted(times)[int(share * (len(times) - 1))], 3)


def _decide(before: Parsed, text: str, cursor: int) -> Parsed:
    parsed = parse(before.language, text, before)
    facts = inspect(parsed, cursor)
    plan_completion(decide(Signals(facts=facts)), facts, Limits())
    return parsed


def _keys(marked: str, typed: str) -> Iterator[tuple[str, int]]:
    """The text after each key, and where the cursor is then."""
    before = marked.split(_MARK)
    text = "".join(before)
    offsets = list(itertools.accumulate(map(len, before)))[:-1]
    for offset in random.Random(1).sample(offsets, k=_N_SPOTS):
        for n_typed in [*range(1, len(typed) + 1), *range(len(typed) - 1, -1, -1)]:
            yield text[:offset] + typed[:n_typed] + text[offset:], offset + n_typed


def _stop_rule_us(language: Language, script: Script) -> float:
    """The mean cost of the rule after one token, over a middle of some 30 lines."""
    left = script.head + script.unit.replace("§", "1").partition(_MARK)[0]
    left += script.typed[: len(script.typed) - len(script.typed.lstrip())]
    facts = inspect(parse(language, left), len(left))
    plan = plan_completion(decide(Signals(facts=facts)), facts, Limits())
    middle, times_us = "", []
    for token in re.findall(r"\s*\w{1,4}|\s*[^\w\s]|\s+", (script.typed.rstrip() * 10).lstrip()):
        middle += token
        started = time.thread_time()
        n_kept = plan.stop.n_chars_to_keep(middle)
        times_us.append((time.thread_time() - started) * 1e6)
        if n_kept is not None:
            break
    return statistics.fmean(times_us)
