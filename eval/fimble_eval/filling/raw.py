"""The model's own word on a hole: the product's prompt, a benchmark's stop rule, no judgement.

Owns the batch: as many rows at once as the engine likes. The prompt, the project memory and the
fit to closers right of the cursor are the product's, so that a fault in them shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fimble_eval.filling.hole import Filling, Hole
from fimble_model.engine.protocol import Engine, Finish, Request, RequestId, Sampling, StopRule
from fimble_server.completion.overlap import fit_to_right, is_only_closers
from fimble_server.completion.page import Page, page_of
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.postprocess import confidence_of
from fimble_server.completion.project_texts import feed, gather_texts
from fimble_server.completion.prompt import build_requests, lay_out, plan_budget
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.positions import CharOffset

__all__ = ["Filled", "build_request", "fill_raw", "snapshot_of"]

_N_ROWS = 16


class Filled(NamedTuple):
    """One sample of one hole."""

    hole_index: int
    sample_index: int
    filling: Filling


class _Asked(NamedTuple):
    hole_index: int
    sample_index: int
    hole: Hole
    page: Page


def fill_raw(
    engine: Engine,
    holes: Iterable[Hole],
    *,
    stop_for: Callable[[Hole], StopRule],
    max_new_tokens: int,
    samplings: tuple[Sampling, ...] = (Sampling(),),
    n_rows: int = _N_ROWS,
) -> Iterator[Filled]:
    """Fill every hole once for each sampling, in the order in which rows end."""
    waiting = (
        (hole_index, sample_index, hole, sampling)
        for hole_index, hole in enumerate(holes)
        for sample_index, sampling in enumerate(samplings)
    )
    asked: dict[RequestId, _Asked] = {}
    is_more = True
    while is_more or asked:
        while is_more and len(asked) < n_rows:
            following = next(waiting, None)
            if following is None:
                is_more = False
                break
            hole_index, sample_index, hole, sampling = following
            page, request = build_request(engine, hole, stop_for(hole), max_new_tokens)
            request_id = RequestId(f"{hole_index}.{sample_index}")
            engine.add(dataclasses.replace(request, request_id=request_id, sampling=sampling))
            asked[request_id] = _Asked(hole_index, sample_index, hole, page)
        for delta in engine.step():
            if delta.finish is not None:
                done = asked.pop(delta.request_id)
                yield Filled(done.hole_index, done.sample_index, _filling_of(delta.finish, done))


def build_request(
    engine: Engine, hole: Hole, stop: StopRule, max_new_tokens: int
) -> tuple[Page, Request]:
    """The product's request for a hole, fed with the hole's neighbours, under another stop rule."""
    snapshot = snapshot_of(hole)
    page = page_of(snapshot)
    texts = gather_texts(snapshot, page)
    if texts is not None:
        feed(engine, texts)
    plan = Plan(
        mode=Mode.EXPLORATION,
        rule="benchmark",
        wanted=True,
        max_lines=max_new_tokens,
        max_new_tokens=max_new_tokens,
        stop=stop,
        n_candidates=1,
        deadline_ms=0.0,
        min_confidence=0.0,
    )
    budget = plan_budget(engine.model, plan)
    laid_out = lay_out(page, None, budget, engine.codec)
    key = None if texts is None else texts.key
    request = build_requests(
        laid_out, plan, budget, memory_scope=hole.memory_scope, memory_key=key
    )[0]
    return page, dataclasses.replace(request, stop=stop)


def snapshot_of(hole: Hole) -> Snapshot:
    """The cursor in the hole, as an editor would hand it over."""
    return Snapshot(
        owner=hole.hole_id,
        buffer=hole.buffer(),
        cursor=CharOffset(len(hole.prefix)),
        path=hole.uri,
        neighbours=hole.neighbours,
        memory_scope=hole.memory_scope,
    )


def _filling_of(finish: Finish, asked: _Asked) -> Filling:
    """Closers right of the cursor were kept from the model: it writes them again."""
    text, n_overwritten = finish.text, 0
    right = asked.page.line_right
    if right.strip() and is_only_closers(right):
        text, n_overwritten = fit_to_right(text, right)
    return Filling(
        text=text,
        n_overwritten_chars=n_overwritten,
        n_tokens=len(finish.tokens),
        confidence=confidence_of(finish.tokens, len(text)),
        reason=finish.reason.value,
    )
