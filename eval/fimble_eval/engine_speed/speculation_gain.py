"""How many passes speculation saves on real code: the same requests with it and without.

Owns that part. Greedy; the tokens must be the same, and are compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fimble_eval.engine_speed.options import EngineOptions
from fimble_eval.engine_speed.recorded_prompts import RecordedKey, own_sources, record_keys
from fimble_eval.engine_speed.rows import PartResult, Row
from fimble_model.engine.protocol import Engine, Finish, RequestId
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.loading import load
from fimble_server.completion.project_texts import feed

__all__ = ["measure_speculation"]

_EVERY = 4


def measure_speculation(
    options: EngineOptions, *, n_files: int = 6, gpu_wishes: GpuWishes | None = None
) -> PartResult:
    """Passes after the first token, of the shipped model with the project memory.

    Once with every row drafting, which is what speculation saves, and once as the engine adapts:
    where a pass costs less than a guess, as of a very small model, rows mostly do not draft.
    """
    plain = load(
        options.model, n_threads=options.n_threads, speculates=False, gpu_wishes=gpu_wishes
    )
    spots = record_keys(plain, own_sources(n_files), n_spots=3, n_chars=100)
    keys = [key for spot in spots for key in spot[::_EVERY]]
    without = _run_all(plain, keys)
    drafting, free = (
        load(options.model, n_threads=options.n_threads, gpu_wishes=gpu_wishes) for _ in range(2)
    )
    always = _run_all(drafting, keys, speculates=True)
    adapting = _run_all(free, keys)
    n_same = sum(
        _ids(one) == _ids(other) == _ids(third)
        for one, other, third in zip(always, adapting, without, strict=True)
    )
    return PartResult(
        rows=(
            _passes_row("every row drafting", always, without, target=1.5),
            _passes_row("as the engine adapts", adapting, without, target=None),
            Row(
                measure="requests whose tokens are the same with drafts and without",
                unit="requests",
                ours=n_same,
                other=len(keys),
                other_name="requests",
                merit=round(n_same / len(keys), 4),
                merit_words="the same",
                target=1.0,
            ),
        ),
        details={
            "n_requests": len(keys),
            "n_tokens": sum(len(finish.tokens) for finish in without),
        },
    )


def _passes_row(
    how: str, drafted: Sequence[Finish], plain: Sequence[Finish], *, target: float | None
) -> Row:
    """Decode passes with drafts beside those without; the note has drafts and time."""
    n_with, n_without = _n_decode_passes(drafted), _n_decode_passes(plain)
    n_drafts = sum(finish.n_drafted_tokens for finish in drafted)
    n_right = sum(finish.n_accepted_tokens for finish in drafted)
    n_all, n_all_plain = (sum(finish.n_passes for finish in group) for group in (drafted, plain))
    ms, plain_ms = (sum(finish.decode_ms for finish in group) for group in (drafted, plain))
    return Row(
        measure=f"passes to write what greedy decoding writes, real code, {how}",
        unit="passes",
        ours=n_with,
        other=n_without,
        other_name="without drafts",
        merit=round(n_without / max(1, n_with), 3),
        merit_words="times fewer",
        target=target,
        note=f"{n_right} of {n_drafts} drafts were right; with the prompts' passes {n_all} against "
        f"{n_all_plain}; {ms:.0f} ms of decoding, {plain_ms:.0f} without",
    )


def _run_all(
    engine: Engine, keys: Sequence[RecordedKey], *, speculates: bool | None = None
) -> list[Finish]:
    """Each request to its own end, one after another, as one person would make them."""
    return [_run(engine, key, number, speculates) for number, key in enumerate(keys)]


def _run(engine: Engine, key: RecordedKey, number: int, speculates: bool | None) -> Finish:
    if key.texts is not None:
        feed(engine, key.texts)
    request = dataclasses.replace(
        key.request,
        request_id=RequestId(str(number)),
        min_confidence=0.0,
        owner="typist",
        speculates=speculates,
    )
    engine.add(request)
    finish = None
    while engine.has_work:
        for delta in engine.step():
            finish = delta.finish or finish
    assert finish is not None, "a row ends"
    return finish


def _ids(finish: Finish) -> list[int]:
    return [token.token_id for token in finish.tokens]


def _n_decode_passes(finishes: Sequence[Finish]) -> int:
    return sum(finish.n_passes - finish.n_prefill_passes for finish in finishes)
