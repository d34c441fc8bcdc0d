"""How long one decision takes in a long file: parse on from the last key, gather facts, plan.

Owns the files that are made up for it, the typing in them, and the figures. No model runs.
"""

from __future__ import annotations

import random
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fimble_server.completion.mode import decide
from fimble_server.completion.plan import Limits, plan_completion
from fimble_server.completion.signals import Signals
from fimble_server.document.language import Language
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import Parsed, inspect, parse

__all__ = ["LANGUAGE_IDS", "DecisionSpeed", "measure_decisions"]

_N_LINES = 5_000
_N_SPOTS = 12
_N_HEADER_LINES = 4  # Of each unit, up to its method's body.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Script:
    """What a file is made of, a unit at a time, and what is typed in it."""

    unit: str
    typed: str


_SCRIPTS: Mapping[str, _Script] = MappingProxyType(
    {
        "python": _Script(
            unit=(
                "class Shelf{n}(Base):\n"
                '    """Holds what belongs to row {n}."""\n\n'
                "    def put(self, item: str, *, at: int = {n}) -> None:\n"
                "        for index, other in enumerate(self.items[at:]):\n"
                "            if other.name == item and not self.is_full:\n"
                '                raise ShelfError(f"{{item}} is at {{index}}")\n'
                "            self.counts[other] = [1, 2, {n}]\n"
                "        self.items.append(item)\n\n\n"
            ),
            typed="\n        if item in self.known:\n            return [a for a in self(item)]\n",
        ),
        "typescript": _Script(
            unit=(
                "export class Shelf{n}<T extends Row> implements Base<T> {{\n"
                "  private counts: Map<string, number> = new Map();\n\n"
                "  put(item: string, at: number = {n}): void {{\n"
                "    this.items.slice(at).forEach((other, index) => {{\n"
                "      if (other.name === item && !this.isFull) {{\n"
                "        throw new Error(`${{item}} is at ${{index}}`);\n"
                "      }}\n"
                "      this.counts.set(other, {n});\n"
                "    }});\n"
                "  }}\n"
                "}}\n\n"
            ),
            typed=(
                "\n    if (this.known.has(item)) {\n      return this.all.map((a) => a.b);\n    }\n"
            ),
        ),
        "cpp": _Script(
            unit=(
                "template <typename T>\nclass Shelf{n} : public Base<T> {{\n public:\n"
                "  void put(const std::string& item, size_t at = {n}) {{\n"
                "    for (size_t i = at; i < items_.size(); ++i) {{\n"
                "      if (items_[i].name() == item && !full_) {{\n"
                '        throw std::runtime_error("there: " + item);\n'
                "      }}\n"
                "      counts_[items_[i]] += static_cast<int>({n} << 2);\n"
                "    }}\n"
                "  }}\n\n private:\n  std::vector<T> items_;\n}};\n\n"
            ),
            typed=(
                "\n    if (known_.count(item) > 0) {\n"
                "      auto f = [&](int a) { return a; };\n    }\n"
            ),
        ),
    }
)
LANGUAGE_IDS = tuple(_SCRIPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSpeed:
    """Times of one language: from a changed text to its plan, and of the stop rule, per token.

    `cpu_*` leave out the time that the machine gave to others; on a quiet one both are the same.
    """

    language_id: str
    n_lines: int
    n_keys: int
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float
    cpu_worst_ms: float
    first_parse_ms: float
    stop_rule_us_per_token: float


def measure_decisions(language_id: str) -> DecisionSpeed:
    """Type at places all over a file of 5,000 lines and delete it again, key by key."""
    script, language = _SCRIPTS[language_id], language_for_id(language_id)
    n_units = _N_LINES // script.unit.count("\n") + 1
    text = "".join(script.unit.format(n=n) for n in range(n_units))
    started = time.perf_counter()
    parsed = parse(language, text)
    first_parse_ms = (time.perf_counter() - started) * 1000
    times_ms, cpu_times_ms = [], []
    for edited, cursor in _keys(text, script.typed):
        started, cpu_started = time.perf_counter(), time.thread_time()
        parsed = _decide(parsed, edited, cursor)
        times_ms.append((time.perf_counter() - started) * 1000)
        cpu_times_ms.append((time.thread_time() - cpu_started) * 1000)
    return DecisionSpeed(
        language_id=language_id,
        n_lines=text.count("\n"),
        n_keys=len(times_ms),
        p50_ms=_share(times_ms, 0.5),
        p95_ms=_share(times_ms, 0.95),
        cpu_p50_ms=_share(cpu_times_ms, 0.5),
        cpu_p95_ms=_share(cpu_times_ms, 0.95),
        cpu_worst_ms=_share(cpu_times_ms, 1.0),
        first_parse_ms=round(first_parse_ms, 1),
        stop_rule_us_per_token=round(_stop_rule_us(language, script), 1),
    )


def _share(times: list[float], share: float) -> float:
    """The time that this share of all does not exceed."""
    return round(sorted(times)[int(share * (len(times) - 1))], 3)


def _decide(before: Parsed, text: str, cursor: int) -> Parsed:
    parsed = parse(before.language, text, before)
    facts = inspect(parsed, cursor)
    plan_completion(decide(Signals(facts=facts)), facts, Limits())
    return parsed


def _keys(text: str, typed: str) -> Iterator[tuple[str, int]]:
    """The text after each key, and where the cursor is then."""
    ends = [found.start() for found in re.finditer(r"[;:{]\n", text)]
    for end in random.Random(1).sample(ends, k=_N_SPOTS):
        offset = end + 1
        for n_typed in [*range(1, len(typed) + 1), *range(len(typed) - 1, -1, -1)]:
            yield text[:offset] + typed[:n_typed] + text[offset:], offset + n_typed


def _stop_rule_us(language: Language, script: _Script) -> float:
    """The mean cost of the rule after one token, over a middle of some 30 lines."""
    left = "".join(script.unit.format(n=1).splitlines(keepends=True)[:_N_HEADER_LINES])
    left += script.typed[1 : len(script.typed) - len(script.typed.lstrip())]
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
