"""The figures of a replay: what was saved, what was shown for it, and what it cost.

Owns the definitions. Pure sums over what was typed; groups by mode and by language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fimble_eval.replay.screen import Showing
from fimble_eval.replay.typist import Asked, Typed

__all__ = ["Figures", "by_language", "by_mode", "count_steps", "sum_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One replay, or a part of it.

    A suggestion is `kept` where some of it was taken. `kept_share` is kept over shown,
    `kept_char_share` taken over shown characters. `saved_chars` were taken, `saved_keys` are
    those less the keys that took them, and the shares of both are of all characters written.
    `vain_chars` were shown and never came to be, for each character that was taken
    `vain_per_saved`. `swaps` and `vanished` are answers that took another text's or no text's
    place of ghost text that the typing agreed with. `reuse_share` is answers without the model
    over all answers, `reused_token_share` prompt tokens found in the cache. `wall_*` is what a
    key's answer took this machine, `cpu_*` its processor's part, `wait_*` simulated time,
    `wait_after_take_p50_ms` after something was taken. `late_share` is keys whose answer the
    next key outran.
    """

    chars: int
    keys: int
    saved_chars: int
    saved_share: float
    saved_keys_share: float
    shown: int
    kept: int
    kept_share: float
    shown_chars: int
    kept_char_share: float
    vain_chars: int
    vain_per_saved: float
    swaps: int
    vanished: int
    reuse_share: float
    reused_token_share: float
    late_share: float
    wall_p50_ms: float
    wall_p95_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float
    wait_p50_ms: float
    wait_p95_ms: float
    wait_after_take_p50_ms: float


def sum_up(typed: Sequence[Typed]) -> Figures:
    """All of a replay."""
    showings = [showing for each in typed for showing in each.showings]
    asked = [request for each in typed for request in each.asked]
    return _figures(
        showings,
        asked,
        n_chars=sum(each.n_chars for each in typed),
        n_keys=sum(each.n_keys for each in typed),
        n_swaps=sum(each.n_swaps for each in typed),
        n_vanished=sum(each.n_vanished for each in typed),
    )


def count_steps(typed: Sequence[Typed]) -> Counter[str]:
    """How often each step of post-processing changed or hid what a model wrote."""
    counts: Counter[str] = Counter()
    for each in typed:
        for request in each.asked:
            if request.answer is not None and request.answer.source == "model":
                hidden = {hidden.step for hidden in request.answer.hidden}
                counts.update(hidden | {note.step for note in request.answer.steps})
    return counts


def by_language(typed: Sequence[Typed]) -> dict[str, Figures]:
    """The same for each language."""
    names = sorted({each.place.file.language_id for each in typed})
    return {
        name: sum_up([each for each in typed if each.place.file.language_id == name])
        for name in names
    }


def by_mode(typed: Sequence[Typed]) -> dict[str, Figures]:
    """Suggestions and answers by their mode; characters and keys are of all."""
    showings = [showing for each in typed for showing in each.showings]
    asked = [request for each in typed for request in each.asked if request.answer is not None]
    modes = sorted({request.answer.plan.mode.value for request in asked if request.answer})
    return {
        mode: _figures(
            [showing for showing in showings if showing.mode == mode],
            [each for each in asked if each.answer and each.answer.plan.mode.value == mode],
            n_chars=sum(each.n_chars for each in typed),
            n_keys=sum(each.n_keys for each in typed),
        )
        for mode in modes
    }


def _figures(
    showings: Sequence[Showing],
    asked: Sequence[Asked],
    *,
    n_chars: int,
    n_keys: int,
    n_swaps: int = 0,
    n_vanished: int = 0,
) -> Figures:
    n_saved = sum(showing.n_taken for showing in showings)
    n_shown_chars = sum(len(showing.text) for showing in showings)
    n_vain = sum(showing.n_vain_chars for showing in showings)
    n_kept = sum(showing.is_kept for showing in showings)
    answers = [request.answer for request in asked if request.answer is not None]
    by_model = [answer for answer in answers if answer.source == "model"]
    waits = [request.wait_ms for request in asked if request.answer is not None]
    waits_after = [each.wait_ms for each in asked if each.answer is not None and each.is_after_take]
    walls = [request.wall_ms for request in asked]
    cpus = [request.cpu_ms for request in asked]
    return Figures(
        chars=n_chars,
        keys=n_keys,
        saved_chars=n_saved,
        saved_share=_share(n_saved, n_chars),
        saved_keys_share=_share(n_saved - sum(showing.n_presses for showing in showings), n_chars),
        shown=len(showings),
        kept=n_kept,
        kept_share=_share(n_kept, len(showings)),
        shown_chars=n_shown_chars,
        kept_char_share=_share(n_saved, n_shown_chars),
        vain_chars=n_vain,
        vain_per_saved=round(n_vain / max(1, n_saved), 2),
        swaps=n_swaps,
        vanished=n_vanished,
        reuse_share=_share(len(answers) - len(by_model), len(answers)),
        reused_token_share=_share(
            sum(answer.tokens.reused for answer in by_model),
            sum(answer.tokens.prompt for answer in by_model),
        ),
        late_share=_share(len(asked) - len(answers), len(asked)),
        wall_p50_ms=_percentile(walls, 50),
        wall_p95_ms=_percentile(walls, 95),
        cpu_p50_ms=_percentile(cpus, 50),
        cpu_p95_ms=_percentile(cpus, 95),
        wait_p50_ms=_percentile(waits, 50),
        wait_p95_ms=_percentile(waits, 95),
        wait_after_take_p50_ms=_percentile(waits_after, 50),
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _percentile(values_ms: Iterable[float], percent: float) -> float:
    values = list(values_ms)
    return round(float(np.percentile(values, percent)), 2) if values else 0.0
