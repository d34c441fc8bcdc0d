"""Holes in held-out repositories, scored: every hole filled and compared with its author's text.

Owns the order of the work, the table's columns, and the summary by kind and by language.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fimble_eval.filling.hole import Filling
from fimble_eval.filling.raw import fill_raw
from fimble_eval.filling.shown import fill_as_shown
from fimble_eval.holes.bits import Bits, count_bits
from fimble_eval.holes.cutting import Cut, HoleKind
from fimble_eval.holes.likeness import (
    edit_similarity,
    first_line_stripped,
    is_same_first_line,
    says_something,
)
from fimble_eval.results import Result, Row, circumstances, share_of
from fimble_eval.rivals.choosing import Rival
from fimble_model.engine.protocol import StopRule
from fimble_model.engine.stopping import NeverStop, StopAtLineEnd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fimble_eval.filling.hole import Hole

__all__ = ["HolesView", "draw_holes", "score_holes"]

_MOST_NEW_TOKENS = {True: 192, False: 64}
_SCORERS = ("exact", "exact_first_line", "edit_similarity")


class HolesView(enum.Enum):
    """The model's own word, up to the end of the line where less than a block is missing; or
    what the product shows to one who types.
    """

    RAW = "raw"
    SHOWN = "shown"


def score_holes(
    cuts: Sequence[Cut],
    rival: Rival,
    *,
    view: HolesView,
    has_memory: bool,
    has_bits: bool,
    on_filled: Callable[[], None],
    on_scored: Callable[[], None],
) -> Result:
    """Fill all holes; then, if wanted, count what their middles cost."""
    fillings = _fill(cuts, rival, view, on_filled)
    rows: list[Row] = []
    for cut, filling in zip(cuts, fillings, strict=True):
        bits = count_bits(rival.engine, cut.hole) if has_bits else None
        rows.append(_row(cut, filling, bits))
        on_scored()
    summary: dict[str, object] = {
        "benchmark": "holes",
        "view": view.value,
        "has_memory": has_memory,
        "n_holes": len(rows),
        "packages": sorted({cut.package for cut in cuts}),
        "by_kind": {
            kind.value: _summarise([row for row in rows if row["kind"] == kind.value], view)
            | _best_constant([cut for cut in cuts if cut.kind is kind])
            for kind in HoleKind
            if any(cut.kind is kind for cut in cuts)
        },
        "by_language": {
            language: _summarise([row for row in rows if row["language"] == language], view)
            for language in sorted({cut.language_id for cut in cuts})
        },
    }
    return Result(rows=tuple(rows), summary=summary | circumstances(rival))


def _fill(
    cuts: Sequence[Cut], rival: Rival, view: HolesView, on_filled: Callable[[], None]
) -> list[Filling]:
    if view is HolesView.SHOWN:
        return fill_as_shown(rival.engine, [cut.hole for cut in cuts], on_filled=on_filled)
    fillings: dict[int, Filling] = {}
    for is_block in (False, True):
        places = [
            index for index, cut in enumerate(cuts) if (cut.kind is HoleKind.BLOCK) is is_block
        ]
        stop: StopRule = NeverStop() if is_block else StopAtLineEnd()

        def stop_for(hole: Hole, stop: StopRule = stop) -> StopRule:
            del hole
            return stop

        for filled in fill_raw(
            rival.engine,
            [cuts[index].hole for index in places],
            stop_for=stop_for,
            max_new_tokens=_MOST_NEW_TOKENS[is_block],
        ):
            fillings[places[filled.hole_index]] = filled.filling
            on_filled()
    return [fillings[index] for index in range(len(cuts))]


def _row(cut: Cut, filling: Filling, bits: Bits | None) -> Row:
    wanted = cut.hole.middle
    return {
        "task_id": cut.hole.hole_id,
        "group": f"{cut.package}/{cut.path}",
        "kind": cut.kind.value,
        "language": cut.language_id,
        "exact": int(filling.is_exact(cut.hole)),
        "exact_first_line": int(is_same_first_line(filling.text, wanted)),
        "edit_similarity": round(edit_similarity(filling.text, wanted), 4),
        "says_something": int(says_something(wanted)),
        "n_middle_chars": len(wanted),
        "n_filled_chars": len(filling.text),
        "n_tokens": filling.n_tokens,
        "confidence": round(filling.confidence, 4),
        "bits_network": "" if bits is None else round(bits.network, 3),
        "bits_with_memory": "" if bits is None else round(bits.with_memory, 3),
        "n_bits_chars": "" if bits is None else bits.n_chars,
        "reason": filling.reason.partition("(")[0].strip(),
    }


def _summarise(rows: Sequence[Row], view: HolesView) -> dict[str, object]:
    telling = [row for row in rows if row["says_something"]]
    summary: dict[str, object] = {"n": len(rows)}
    summary |= {scorer: share_of(rows, scorer) for scorer in _SCORERS}
    if telling:
        summary["exact_non_brace"] = share_of(telling, "exact")
        summary["exact_first_line_non_brace"] = share_of(telling, "exact_first_line")
    for way in ("network", "with_memory"):
        counted = [row for row in rows if row["n_bits_chars"]]
        if counted:
            n_chars = _total(counted, "n_bits_chars")
            summary[f"bits_per_char_{way}"] = round(_total(counted, f"bits_{way}") / n_chars, 4)
    shown = [row for row in rows if row["n_filled_chars"]]
    if view is HolesView.SHOWN:
        summary["shown"] = round(len(shown) / len(rows), 4)
        summary["exact_of_shown"] = share_of(shown, "exact") if shown else None
    return summary


def _total(rows: Iterable[Row], column: str) -> float:
    return sum(float(str(row[column])) for row in rows)


def _best_constant(cuts: Sequence[Cut]) -> dict[str, object]:
    """What one and the same answer would score at best, chosen with the answers in hand."""
    by_scorer: Mapping[str, Counter[str]] = {
        "exact": Counter(cut.hole.middle for cut in cuts),
        "exact_first_line": Counter(first_line_stripped(cut.hole.middle) for cut in cuts),
    }
    return {
        f"best_constant_{scorer}": round(answers.most_common(1)[0][1] / len(cuts), 4)
        for scorer, answers in by_scorer.items()
    }


def draw_holes(result: Result) -> Callable[[Axes], None]:
    """The exact scorers by kind, beside the best constant answer."""

    def draw(axes: Axes) -> None:
        kinds = [kind.value for kind in HoleKind]
        kinds = [kind for kind in kinds if any(row["kind"] == kind for row in result.rows)]
        groups: list[tuple[str, Callable[[Row], bool], str]] = [
            ("strict", lambda row: True, "exact"),
            ("first line, stripped", lambda row: True, "exact_first_line"),
            ("the same, no mere closers", lambda row: bool(row["says_something"]),
             "exact_first_line"),
        ]  # fmt: skip
        places = np.arange(len(kinds))
        for offset, (label, is_counted, column) in enumerate(groups):
            shares = [
                share_of([row for row in result.rows if row["kind"] == kind and is_counted(row)],
                         column)
                for kind in kinds
            ]  # fmt: skip
            means = np.array([share["mean"] for share in shares])
            error = np.stack([
                means - [share["low"] for share in shares],
                [share["high"] for share in shares] - means,
            ])  # fmt: skip
            axes.bar(places + 0.27 * (offset - 1), means, 0.25, label=label, yerr=error, capsize=2)
        axes.set(ylabel="share of holes", xticks=places, xticklabels=kinds, ylim=(0, None))
        memory = "with memory" if result.summary["has_memory"] else "no memory"
        axes.set_title(f"holes, {result.summary['view']}, {memory}: {result.summary['model']}")
        axes.legend()

    return draw
