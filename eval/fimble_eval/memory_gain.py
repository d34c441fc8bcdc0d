"""What the project memory adds to a model: bits and exact ends of lines, with and without it.

Owns the cases and their figures. At a case the memory holds what a user would have: the other
files of the package, and of the file itself what stands above the cursor's line and below the
middle.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fimble_eval.memory_speed import MemorySpeed, measure_speed
from fimble_model import load
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.memory import ProjectMemory
from fimble_model.engine.memory_index import LOWER_PART, Matches
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.protocol import Finish, Prompt, Request, RequestId, TokenId
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.errors import FimbleError

__all__ = ["MemoryReport", "measure_memory", "read_packages", "to_markdown"]

_SCOPE = "package"
_PREFIX_CHARS, _SUFFIX_CHARS = 1_400, 400
_MIDDLE_LINES = 3
_LEAST_LINE_CHARS = 8
_LINES_ABOVE = 8
_FIXED_WEIGHTS = (0.2, 0.4)
_SURE_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """The figures. Bits are per character of middles of three lines, by way of mixing.

    `exact_*` are shares of ends of lines written exactly, greedily; `*_of_surest` are those
    among the quarter with the highest mean log-probability.
    """

    model: str
    packages: tuple[str, ...]
    n_cases: int
    n_chars: int
    bits_per_char: dict[str, float]
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


def read_packages(file: Path) -> dict[str, dict[str, str]]:
    """Texts by package and path. Raises `FimbleError` where a line is of another shape."""
    packages: dict[str, dict[str, str]] = {}
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            document: dict[str, Any] = json.loads(line)
            texts = packages.setdefault(str(document["package"]), {})
            texts[str(document["path"])] = str(document["text"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FimbleError(
            expected='a file of lines like {"package": ..., "path": ..., "text": ...}',
            found=f"{type(error).__name__} in {file.name}",
            to_do="Name the held-out file that `fimble-train` wrote.",
        ) from error
    return packages


def measure_memory(
    packages: Mapping[str, Mapping[str, str]], *, model: str, n_cases: int
) -> MemoryReport:
    """Run `n_cases` cursors of each package with a memory and without one."""
    engine = load(model)
    if not isinstance(engine, NativeEngine):
        raise FimbleError(
            expected="a model with a native network", found=model, to_do="Name another."
        )
    rng = random.Random(0)
    bits: dict[str, float] = {}
    n_chars = 0
    finishes: list[tuple[str, Finish, Finish]] = []
    for texts in packages.values():
        memory = ProjectMemory(_encoder(engine))
        for path, text in texts.items():
            memory.remember(path, text)
            engine.remember(_SCOPE, path, text)
        for case in _pick_cases(texts, rng, n_cases):
            for key, text in _parts_around(case):
                memory.remember(key, text)
                engine.remember(_SCOPE, key, text)
            n_chars += _add_bits(bits, engine, memory, case)
            finishes.append(_write_end(engine, case))
            for key, text in ((case.path + LOWER_PART, ""), (case.path, case.text)):
                memory.remember(key, text)
                engine.remember(_SCOPE, key, text)
        engine.forget(_SCOPE)
    plain = [_is_exact(end, finish) for end, finish, _ in finishes]
    helped = [_is_exact(end, finish) for end, _, finish in finishes]
    return MemoryReport(
        model=engine.model.name,
        packages=tuple(packages),
        n_cases=len(finishes),
        n_chars=n_chars,
        bits_per_char={way: round(total / n_chars, 4) for way, total in bits.items()},
        exact_network=round(float(np.mean(plain)), 4),
        exact_with_memory=round(float(np.mean(helped)), 4),
        exact_network_of_surest=_of_surest(plain, [finish for _, finish, _ in finishes]),
        exact_with_memory_of_surest=_of_surest(helped, [finish for _, _, finish in finishes]),
        speed=measure_speed(_encoder(engine)),
    )


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


def _add_bits(
    bits: dict[str, float], engine: NativeEngine, memory: ProjectMemory, case: _Case
) -> int:
    """Add the bits of the case's middle in each way; the number of its characters."""
    prompt = _prompt_of(engine, case, case.middle_end)
    written = prompt.healing_text + case.text[case.cursor : case.middle_end]
    token_ids = engine.codec.tokenizer.encode_words_inside(written).token_ids
    n_free = engine.model.context_tokens - len(prompt.token_ids)
    if len(token_ids) >= n_free:
        return 0
    control_ids = np.array(sorted(set(engine.codec.tokenizer.control_ids.values())))
    view = memory.view(case.path)
    for index, logprobs_V in enumerate(engine.score(prompt, token_ids)):
        matches = view.find([*prompt.context_ids, *token_ids[:index]])
        for way, mixed_V in _ways(logprobs_V.float().cpu(), matches, control_ids):
            logprob = max(float(mixed_V[token_ids[index]]), math.log(1e-9))
            bits[way] = bits.get(way, 0.0) - logprob / math.log(2)
    return len(written)


def _ways(
    logprobs_V: Tensor, matches: Matches | None, control_ids: NDArray[np.int64]
) -> list[tuple[str, Tensor]]:
    """The next token's distribution by the network, the memory, and the two together."""
    uniform_V = torch.full_like(logprobs_V, -math.log(len(logprobs_V)))
    ways = [("network", logprobs_V)]
    if matches is None:
        fixed = [logprobs_V for _ in _FIXED_WEIGHTS]
        ways += [("memory", uniform_V), ("by confidence", logprobs_V)]
    else:
        fixed = [_fixed(logprobs_V, matches, weight) for weight in _FIXED_WEIGHTS]
        ways += [
            ("memory", blend(uniform_V, matches, control_ids)),
            ("by confidence", blend(logprobs_V, matches, control_ids)),
        ]
    names = (f"fixed weight {weight}" for weight in _FIXED_WEIGHTS)
    return ways + list(zip(names, fixed, strict=True))


def _fixed(logprobs_V: Tensor, matches: Matches, weight: float) -> Tensor:
    """The network and what followed the longest known contexts, in one proportion."""
    longest = matches.next_ids[matches.n_equal == matches.n_equal.max()]
    counts_V = torch.bincount(torch.from_numpy(longest).long(), minlength=len(logprobs_V))
    return ((1 - weight) * logprobs_V.exp() + weight * counts_V / len(longest)).log()


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


def to_markdown(report: MemoryReport, circumstances: Mapping[str, object]) -> str:
    """The figures as a page."""
    speed = report.speed
    rows = "\n".join(f"| {way} | {bits:.3f} |" for way, bits in report.bits_per_char.items())
    return f"""# What the project memory adds to {report.model}

{report.n_cases} cursors in held-out packages ({", ".join(report.packages)}), {report.n_chars}
characters of middles. The memory held the package's other files, what stands above the
cursor's line and what stands below the middle. The rule's numbers were fitted on lines of these
same packages, of which a few may be here again; see `memory_mixing.py` for what they gave when
fitted on some packages and tried on the others.

| way of mixing | bits a character |
|---|---|
{rows}

| greedy, cursor to end of line, exact | network | with memory |
|---|---|---|
| all | {report.exact_network:.1%} | {report.exact_with_memory:.1%} |
| the surest quarter | {report.exact_network_of_surest:.1%} | \
{report.exact_with_memory_of_surest:.1%} |

Speed, on {speed.n_files} files of Python's own library ({speed.n_chars} characters, \
{speed.n_tokens} tokens):
{speed.index_mib:.0f} MiB, {speed.build_s:.1f} s to read all in, {speed.find_p50_us:.0f} µs \
(median) and {speed.find_p95_us:.0f} µs (95 %) a lookup,
{speed.edit_p50_ms:.2f} ms and {speed.edit_p95_ms:.2f} ms an edit of one line.

{circumstances["processor"]}, {circumstances["n_cores"]} cores, Python \
{circumstances["python"]}, commit {circumstances["commit"]}, {circumstances["date"]}.
"""
