"""What the project memory adds to a model: bits and exact ends of lines, with and without it.

Owns the cases and their figures. At a case the memory holds what a user would have: the other
files of the package, and of the file itself what stands above the cursor's line and below the
middle.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fimble_eval.holes.repository import SourceFile
from fimble_eval.memory_speed import MemorySpeed, measure_speed
from fimble_eval.memory_ways import KNOWS_MORE_NATS, Judgements, TrueEnd, bits_of, mix_in_all_ways
from fimble_model import load
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.memory import MemoryView, ProjectMemory
from fimble_model.engine.memory_index import LOWER_PART
from fimble_model.engine.protocol import Finish, Prompt, Request, RequestId, TokenId
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.errors import FimbleError

__all__ = ["MemoryReport", "WaysReport", "measure_memory"]

_SCOPE = "package"
_PREFIX_CHARS, _SUFFIX_CHARS = 1_400, 400
_MIDDLE_LINES = 3
_LEAST_LINE_CHARS = 8
_LINES_ABOVE = 8
_SURE_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysReport:
    """By way of mixing: bits a character of middles of three lines, and the share of ends of
    lines of which each token is the likeliest there.
    """

    n_cases: int
    n_chars: int
    bits_per_char: dict[str, float]
    exact: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """The figures. `strengths` are of simulated networks: nats that it knows more, its bits a
    character, and those with the memory.

    `exact_*` are shares of ends of lines that the engine itself wrote exactly, greedily;
    `*_of_surest` are those among the quarter with the highest mean log-probability.
    """

    model: str
    packages: tuple[str, ...]
    all: WaysReport
    by_language: dict[str, WaysReport]
    strengths: tuple[tuple[float, float, float], ...]
    exact_network: float
    exact_with_memory: float
    exact_network_of_surest: float
    exact_with_memory_of_surest: float
    speed: MemorySpeed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A cursor in a document. `above` ends where its line begins."""

    path: str
    text: str = field(repr=False)
    above: int
    cursor: int
    line_end: int
    middle_end: int


def measure_memory(
    files: Sequence[SourceFile], *, model: str, n_cases: int, on_case: Callable[[], None]
) -> MemoryReport:
    """Run `n_cases` cursors of each package with a memory and without one."""
    engine = load(model)
    if not isinstance(engine, NativeEngine):
        raise FimbleError(
            expected="a model with a native network", found=model, to_do="Name another."
        )
    rng = random.Random(0)
    everything, by_language = Judgements(), dict[str, Judgements]()
    finishes: list[tuple[str, Finish, Finish]] = []
    packages = tuple(dict.fromkeys(file.package for file in files))
    for package in packages:
        there = {file.path: file for file in files if file.package == package}
        memory = ProjectMemory(_encoder(engine))

        def remember(key: str, text: str, memory: ProjectMemory = memory) -> None:
            memory.remember(key, text)
            engine.remember(_SCOPE, key, text)

        for path, file in there.items():
            remember(path, file.text)
        for case in _pick_cases({path: file.text for path, file in there.items()}, rng, n_cases):
            for key, text in _parts_around(case):
                remember(key, text)
            language = by_language.setdefault(there[case.path].language_id, Judgements())
            if _judge(engine, memory.view(case.path), case, (everything, language)):
                finishes.append(_write_end(engine, case))
            remember(case.path + LOWER_PART, "")
            remember(case.path, case.text)
            on_case()
        engine.forget(_SCOPE)
    return MemoryReport(
        model=engine.model.name,
        packages=packages,
        all=_ways_of(everything),
        by_language={name: _ways_of(each) for name, each in sorted(by_language.items())},
        strengths=_strengths_of(everything.bits_per_char()),
        **_written(finishes),
        speed=measure_speed(engine.codec.tokenizer),
    )


def _ways_of(judgements: Judgements) -> WaysReport:
    return WaysReport(
        n_cases=judgements.n_cases,
        n_chars=judgements.n_chars,
        bits_per_char=judgements.bits_per_char(),
        exact=judgements.exact_shares(),
    )


def _strengths_of(bits: Mapping[str, float]) -> tuple[tuple[float, float, float], ...]:
    stronger = tuple(
        (
            nats,
            bits[f"network that knows {nats:g} nats more"],
            bits[f"the same by confidence, {nats:g}"],
        )
        for nats in KNOWS_MORE_NATS
    )
    return ((0.0, bits["network"], bits["by confidence"]), *stronger)


def _written(finishes: Sequence[tuple[str, Finish, Finish]]) -> dict[str, float]:
    """What the engine wrote at the cases, without the memory and with it."""
    plain = [_is_exact(end, finish) for end, finish, _ in finishes]
    helped = [_is_exact(end, finish) for end, _, finish in finishes]
    return {
        "exact_network": round(float(np.mean(plain)), 4),
        "exact_with_memory": round(float(np.mean(helped)), 4),
        "exact_network_of_surest": _of_surest(plain, [each for _, each, _ in finishes]),
        "exact_with_memory_of_surest": _of_surest(helped, [each for _, _, each in finishes]),
    }


def _parts_around(case: _Case) -> tuple[tuple[str, str], ...]:
    """What the memory may know of the case's own file, by its keys."""
    below = case.text[case.middle_end + 1 :]
    return (case.path + LOWER_PART, below), (case.path, case.text[: case.above])


def _encoder(engine: NativeEngine) -> Callable[[str], Sequence[TokenId]]:
    return lambda text: engine.codec.tokenizer.encode_words_inside(text).token_ids


def _pick_cases(texts: Mapping[str, str], rng: random.Random, n_cases: int) -> list[_Case]:
    """Cursors within lines that say something, not among a file's first ones."""
    places = [
        (path, index)
        for path, text in texts.items()
        for index, line in enumerate(text.split("\n"))
        if index >= _LINES_ABOVE and len(line.strip()) > _LEAST_LINE_CHARS
    ]
    return [
        _case_at(path, texts[path], index, rng)
        for path, index in rng.sample(places, min(n_cases, len(places)))
    ]


def _case_at(path: str, text: str, line_index: int, rng: random.Random) -> _Case:
    lines = text.split("\n")
    above = sum(len(line) + 1 for line in lines[:line_index])
    line = lines[line_index]
    indent = len(line) - len(line.lstrip())
    return _Case(
        path=path,
        text=text,
        above=above,
        cursor=above + rng.randrange(indent, len(line) - 2),
        line_end=above + len(line),
        middle_end=above + len("\n".join(lines[line_index : line_index + _MIDDLE_LINES])),
    )


def _prompt_of(engine: NativeEngine, case: _Case, end: int) -> Prompt:
    start = max(0, case.cursor - _PREFIX_CHARS)
    return engine.codec.encode_fim(
        prefix=case.text[start : case.cursor], suffix=case.text[end : end + _SUFFIX_CHARS]
    )


def _judge(
    engine: NativeEngine, view: MemoryView, case: _Case, judgements: Sequence[Judgements]
) -> bool:
    """Add what each way makes of the case's middle; False where there is no room for it."""
    prompt = _prompt_of(engine, case, case.middle_end)
    tokenizer = engine.codec.tokenizer
    written = prompt.healing_text + case.text[case.cursor : case.middle_end]
    token_ids = tokenizer.encode_words_inside(written).token_ids
    if len(token_ids) >= engine.model.context_tokens - len(prompt.token_ids):
        return False
    control_ids = np.array(sorted(set(tokenizer.control_ids.values())))
    end = TrueEnd(
        tokenizer.token_bytes,
        token_ids,
        healed=prompt.healing_text,
        end=case.text[case.cursor : case.line_end],
    )
    bits: dict[str, float] = {}
    is_exact: dict[str, bool] = {}
    for index, logprobs_V in enumerate(engine.score(prompt, token_ids).float().cpu()):
        matches = view.find([*prompt.context_ids, *token_ids[:index]])
        ways = dict(mix_in_all_ways(logprobs_V, matches, control_ids, token_ids[index]))
        for way, agrees in end.agrees(index, ways).items():
            bits[way] = bits.get(way, 0.0) + bits_of(ways[way], token_ids[index])
            is_exact[way] = is_exact.get(way, True) and agrees
    for each in judgements:
        each.add(len(written), bits, is_exact)
    return True


def _write_end(engine: NativeEngine, case: _Case) -> tuple[str, Finish, Finish]:
    """The line's true end, and what is written there without the memory and with it."""
    prompt = _prompt_of(engine, case, case.line_end)
    finishes: list[Finish] = []
    for scope in (None, _SCOPE):
        engine.add(
            Request(
                request_id=RequestId("case"),
                prompt=prompt,
                max_new_tokens=48,
                stop=StopAtLineEnd(),
                memory_scope=scope,
                memory_key=case.path,
            )
        )
        while engine.has_work:
            finishes += [delta.finish for delta in engine.step() if delta.finish is not None]
    return case.text[case.cursor : case.line_end], finishes[0], finishes[1]


def _is_exact(end: str, finish: Finish) -> bool:
    return finish.text.rstrip() == end.rstrip()


def _of_surest(exact: Sequence[bool], finishes: Sequence[Finish]) -> float:
    means = [
        float(np.mean([token.logprob for token in finish.tokens])) if finish.tokens else -math.inf
        for finish in finishes
    ]
    surest = np.argsort(np.array(means))[::-1][: max(1, round(_SURE_SHARE * len(means)))]
    return round(float(np.mean([exact[index] for index in surest])), 4)
