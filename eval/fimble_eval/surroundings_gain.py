"""Whether pieces of other files in the prompt help where a line's content is defined elsewhere.

Owns that one measurement: lines of held-out packages that use names of other files, each with the
product's own pieces in the prompt and without them, both with the project memory and without it.
The pieces take the room of text above the cursor, as in the product.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fimble_eval.filling.hole import Hole
from fimble_eval.filling.raw import snapshot_of
from fimble_eval.holes.cutting import HoleKind, cut_holes
from fimble_eval.holes.repository import SourceFile
from fimble_eval.memory_ways import TrueEnd, bits_of
from fimble_model import load
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.protocol import Prompt
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import FimbleError
from fimble_model.shipped import find_model_folder
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.project_texts import feed, gather_texts
from fimble_server.completion.prompt import lay_out, plan_budget
from fimble_server.completion.snapshot import ProjectPlace
from fimble_server.completion.surrounding import Surrounded, SurroundingsDesk
from fimble_server.context.indexing import open_index, places_for

__all__ = ["WITH_AND_WITHOUT", "SurroundingsReport", "measure_surroundings"]

WITH_AND_WITHOUT = ("neither", "pieces", "memory", "memory and pieces")

_MOST_NEW_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundingsReport:
    """By what the model had besides its own file: bits a character of the lines, and the share of
    them of which each token is the likeliest. `n_with_pieces` are those for which any were found.
    """

    model: str
    n_holes: int
    n_with_pieces: int
    n_chars: int
    bits_per_char: dict[str, float]
    exact: dict[str, float]


def measure_surroundings(
    files: Sequence[SourceFile],
    *,
    model: str,
    n_cases: int,
    seed: int,
    on_hole: Callable[[], None],
) -> SurroundingsReport:
    """At most `n_cases` lines of each package. Raises `FimbleError` where there are none."""
    cuts = cut_holes(files, n_cases=n_cases, seed=seed, has_memory=True)
    cuts = [cut for cut in cuts if cut.kind is HoleKind.CROSS_FILE]
    if not cuts:
        raise FimbleError(
            expected="packages in which files use each other's names",
            found="none",
            to_do="Name a folder of whole packages.",
        )
    bits = dict.fromkeys(WITH_AND_WITHOUT, 0.0)
    n_exact = dict.fromkeys(WITH_AND_WITHOUT, 0)
    n_chars = n_holes = n_with_pieces = 0
    with TemporaryDirectory() as place, _showing_pieces(model) as model_folder:
        engine = load(model_folder)
        if not isinstance(engine, NativeEngine):
            raise FimbleError(expected="a native network", found=model, to_do="Name another.")
        indices = {
            package: _index(files, package, Path(place)) for package in {c.package for c in cuts}
        }
        for cut in cuts:
            project = ProjectPlace(name=cut.package, path=cut.path, index=indices[cut.package])
            judged = _judge(engine, cut.hole, project)
            on_hole()
            if judged is None:
                continue
            n_holes += 1
            n_with_pieces += judged.has_pieces
            n_chars += judged.n_chars
            for way in WITH_AND_WITHOUT:
                bits[way] += judged.bits[way]
                n_exact[way] += judged.is_exact[way]
    return SurroundingsReport(
        model=Path(model).name,
        n_holes=n_holes,
        n_with_pieces=n_with_pieces,
        n_chars=n_chars,
        bits_per_char={way: round(total / n_chars, 4) for way, total in bits.items()},
        exact={way: round(count / n_holes, 4) for way, count in n_exact.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What each way makes of one hole."""

    has_pieces: bool
    n_chars: int
    bits: dict[str, float]
    is_exact: dict[str, bool]


def _judge(engine: NativeEngine, hole: Hole, project: ProjectPlace) -> _Judged | None:
    """None where prompt and line do not fit the context."""
    snapshot = dataclasses.replace(snapshot_of(hole), project=project)
    page = page_of(snapshot)
    texts = gather_texts(snapshot, page)
    assert texts is not None, "a hole has a memory's scope"
    feed(engine, texts)
    budget = plan_budget(engine.model, _PLAN)
    surrounded = SurroundingsDesk().choose(
        snapshot, page, engine.codec, budget.n_surrounding_tokens
    )

    def prompt_with(surrounded: Surrounded | None) -> Prompt:
        return lay_out(page, None, budget, engine.codec, surrounded).prompt

    plain = prompt_with(None)
    has_pieces = surrounded is not None and bool(surrounded.pieces)
    shown = prompt_with(surrounded) if has_pieces else plain
    found = [
        _judge_prompt(engine, prompt, hole, texts.key)
        for prompt in ((plain, shown) if has_pieces else (plain,))
    ]
    if any(each is None for each in found):
        return None
    by_way = dict(zip(WITH_AND_WITHOUT, _in_order(found), strict=True))
    return _Judged(
        has_pieces=has_pieces,
        n_chars=len(plain.healing_text) + len(hole.middle),
        bits={way: each[0] for way, each in by_way.items()},
        is_exact={way: each[1] for way, each in by_way.items()},
    )


_Pair = tuple[tuple[float, bool], tuple[float, bool]]


def _in_order(found: Sequence[_Pair | None]) -> Iterator[tuple[float, bool]]:
    """The network's word without and with pieces, then the memory's in it, likewise."""
    pairs = [pair for pair in found if pair is not None]
    plain, shown = pairs[0], pairs[-1]
    yield from (plain[0], shown[0], plain[1], shown[1])


def _judge_prompt(
    engine: NativeEngine, prompt: Prompt, hole: Hole, key: str | None
) -> _Pair | None:
    """Bits and exactness of the hole's middle, by the network alone and with the memory."""
    tokenizer = engine.codec.tokenizer
    written = prompt.healing_text + hole.middle
    token_ids = tokenizer.encode_words_inside(written).token_ids
    if len(prompt.token_ids) + len(token_ids) >= engine.model.context_tokens:
        return None
    assert hole.memory_scope is not None, "a hole has a memory's scope"
    view = engine.memory_of(hole.memory_scope, key)
    control_ids = np.array(sorted(set(tokenizer.control_ids.values())))
    end = TrueEnd(tokenizer.token_bytes, token_ids, healed=prompt.healing_text, end=hole.middle)
    bits = {"network": 0.0, "memory": 0.0}
    is_exact = {"network": True, "memory": True}
    for index, logprobs_V in enumerate(engine.score(prompt, token_ids).float().cpu()):
        matches = view.find([*prompt.context_ids, *token_ids[:index]])
        mixed_V = logprobs_V if matches is None else blend(logprobs_V, matches, control_ids)
        ways = {"network": logprobs_V, "memory": mixed_V}
        for way, agrees in end.agrees(index, ways).items():
            bits[way] += bits_of(ways[way], token_ids[index])
            is_exact[way] = is_exact[way] and agrees
    return (bits["network"], is_exact["network"]), (bits["memory"], is_exact["memory"])


@contextmanager
def _showing_pieces(model: str) -> Iterator[Path]:
    """The model's folder, or a copy whose config.json says that it takes pieces of other files."""
    folder = find_model_folder(model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "fimble" not in config:  # Another family: its publisher's format says what it takes.
        yield folder
        return
    config["fimble"]["repository_context"] = True
    with TemporaryDirectory() as place:
        copy = Path(place) / folder.name
        shutil.copytree(folder, copy, copy_function=os.symlink)
        (copy / "config.json").unlink()
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        yield copy


def _index(files: Sequence[SourceFile], package: str, place: Path) -> Path:
    """A package written to disk and indexed as the server does; its chunks' file."""
    root, cache = place / "projects" / package, place / "cache"
    for file in files:
        if file.package == package:
            path = root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
    index = open_index(root, cache, None)
    for _ in index.update_all():
        pass
    index.close()
    return places_for(cache, root).chunks


_PLAN = Plan(
    mode=Mode.ACCELERATION,
    rule="benchmark",
    wanted=True,
    max_lines=1,
    max_new_tokens=_MOST_NEW_TOKENS,
    stop=NeverStop(),
    n_candidates=1,
    deadline_ms=0.0,
    min_confidence=0.0,
)
