"""How many passes speculation saves on real code, and what that is worth in time: `speculation`.

Owns the cursors, the run and its figures. Every cursor is completed twice by one engine, with
drafts and without, in turns, so that a busy machine is as busy for both.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from fimble_eval.machine import describe_machine
from fimble_model import load
from fimble_model.engine.protocol import Engine, Finish, Request, RequestId
from fimble_model.engine.stopping import StopAfterLines
from fimble_server.errors import FimbleError

__all__ = ["SpeculationReport", "measure_speculation", "summarise"]

_SCOPE = "project"
_PREFIX_CHARS, _SUFFIX_CHARS = 1_300, 300
_MOST_NEIGHBOURS = 6
_MOST_NEW_TOKENS, _MOST_LINES = 64, 4
_LEAST_CHARS = 2_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationReport:
    """Figures over all cursors, greedy. Decode passes are those after a row's first token.

    `pass_ratio` is decode passes without drafts over those with them; `all_pass_ratio` counts
    the passes up to the first token too. `n_same` cursors got the same tokens both ways.
    """

    model: str
    n_cursors: int
    n_same: int
    n_tokens: int
    n_plain_passes: int
    n_passes: int
    n_drafted: int
    n_accepted: int
    pass_ratio: float
    all_pass_ratio: float
    plain_decode_ms: float
    decode_ms: float


class _Cursor(NamedTuple):
    path: Path
    text: str
    cursor: int


def measure_speculation(
    folder: Annotated[Path, typer.Argument(help="Python files that the model never saw.")],
    model: Annotated[str, typer.Option(help="Name or folder.")] = "fimble-nano",
    cursors: Annotated[int, typer.Option(help="How many to complete.", min=1)] = 200,
    min_confidence: Annotated[
        float, typer.Option(help="Rows below it are given up; 0 has all come to their end.")
    ] = 0.3,
) -> None:
    """Count the passes that drafting saves, and say whether the tokens stayed the same."""
    files = sorted(path for path in folder.rglob("*.py") if path.stat().st_size >= _LEAST_CHARS)
    if not files:
        raise FimbleError(
            expected=f"Python files of at least {_LEAST_CHARS} characters",
            found=f"none in {folder.name}",
            to_do="Name a folder of packages that the model was not trained on.",
        )
    engine = load(model)
    pairs: list[tuple[Finish, Finish]] = []
    for number, cursor in enumerate(_pick(files, cursors)):
        _remember(engine, cursor, files)
        request = _request(engine, cursor, number, min_confidence)
        plain_id = RequestId(f"plain {number}")
        plain = dataclasses.replace(request, request_id=plain_id, speculates=False)
        first, second = (request, plain) if number % 2 else (plain, request)
        finishes = {bool(each.speculates): _run(engine, each) for each in (first, second)}
        pairs.append((finishes[False], finishes[True]))
    report = summarise(pairs, model=engine.model.name)
    figures = {**dataclasses.asdict(report), "machine": dataclasses.asdict(describe_machine())}
    sys.stdout.write(json.dumps(figures) + "\n")


def summarise(pairs: list[tuple[Finish, Finish]], *, model: str) -> SpeculationReport:
    """The figures of finishes without drafts and with them."""
    plain, fast = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    n_plain, n_fast = _n_decode_passes(plain), _n_decode_passes(fast)
    # The one of a pair that came first computed the prompt for both.
    n_prefill = sum(max(a.n_prefill_passes, b.n_prefill_passes) for a, b in pairs)
    return SpeculationReport(
        model=model,
        n_cursors=len(pairs),
        n_same=sum(_ids(a) == _ids(b) and a.text == b.text for a, b in pairs),
        n_tokens=sum(len(finish.tokens) for finish in fast),
        n_plain_passes=n_plain,
        n_passes=n_fast,
        n_drafted=sum(finish.n_drafted_tokens for finish in fast),
        n_accepted=sum(finish.n_accepted_tokens for finish in fast),
        pass_ratio=round(n_plain / max(n_fast, 1), 3),
        all_pass_ratio=round((n_plain + n_prefill) / max(n_fast + n_prefill, 1), 3),
        plain_decode_ms=round(sum(finish.decode_ms for finish in plain), 1),
        decode_ms=round(sum(finish.decode_ms for finish in fast), 1),
    )


def _n_decode_passes(finishes: list[Finish]) -> int:
    return sum(finish.n_passes - finish.n_prefill_passes for finish in finishes)


def _ids(finish: Finish) -> list[int]:
    return [token.token_id for token in finish.tokens]


def _pick(files: list[Path], n_cursors: int) -> list[_Cursor]:
    """Places within lines that hold something, the same ones at every run, file by file."""
    chance = random.Random(0)
    found: list[_Cursor] = []
    while len(found) < n_cursors:
        path = chance.choice(files)
        lines = path.read_text(encoding="utf-8").split("\n")
        index = chance.randrange(len(lines))
        written = lines[index].strip()
        if len(written) < 8:
            continue
        column = len(lines[index]) - len(lines[index].lstrip())
        column += chance.randrange(len(written) - 4)
        cursor = sum(len(line) + 1 for line in lines[:index]) + column
        found.append(_Cursor(path, "\n".join(lines), cursor))
    return sorted(found, key=lambda each: (each.path, each.cursor))


def _remember(engine: Engine, cursor: _Cursor, files: list[Path]) -> None:
    """What a user would have open: some files beside this one, and this one above the line."""
    beside = [path for path in files if path.parent == cursor.path.parent and path != cursor.path]
    for path in beside[:_MOST_NEIGHBOURS]:
        engine.remember(_SCOPE, str(path), path.read_text(encoding="utf-8"))
    above = cursor.text[: cursor.text.rfind("\n", 0, cursor.cursor) + 1]
    engine.remember(_SCOPE, str(cursor.path), above)


def _request(engine: Engine, cursor: _Cursor, number: int, min_confidence: float) -> Request:
    below = cursor.text.find("\n", cursor.cursor)
    suffix = cursor.text[below : below + _SUFFIX_CHARS] if below >= 0 else ""
    prefix = cursor.text[max(0, cursor.cursor - _PREFIX_CHARS) : cursor.cursor]
    return Request(
        request_id=RequestId(f"drafting {number}"),
        prompt=engine.codec.encode_fim(prefix=prefix, suffix=suffix),
        max_new_tokens=_MOST_NEW_TOKENS,
        stop=StopAfterLines(_MOST_LINES),
        min_confidence=min_confidence,
        memory_scope=_SCOPE,
        owner=str(cursor.path),
        speculates=True,
    )


def _run(engine: Engine, request: Request) -> Finish:
    engine.add(request)
    while True:
        for delta in engine.step():
            if delta.finish is not None:
                return delta.finish
