"""Rows that go on by a token each with nothing to plan, between passes that were planned.

Owns which rows those are. A runner that draws by itself can have their next tokens at hand, and
with hundreds of rows what a step decides for each costs more than the step. Never runs anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fimble_model.engine.pieces import Answer, Drawn
from fimble_model.engine.protocol import FinishReason, RequestId
from fimble_model.engine.row import Row

__all__ = ["Stride", "begin_stride", "choose_uniforms", "take_drawn"]


class Stride(NamedTuple):
    """Rows that drew a token each in the last pass, and want the next after it.

    None of them drafts, heals, or has a memory; the last token of each is not computed yet. It is
    dropped as soon as another row starts.
    """

    rows: Sequence[Row]

    def still(self, running: Mapping[RequestId, Row]) -> list[Row] | None:
        """Those that still run, of rows that run; None where others do too, or nobody does."""
        rows = self.rows
        if len(rows) > len(running):
            rows = [row for row in rows if row.request.request_id in running]
        return list(rows) if rows and len(rows) == len(running) else None


def begin_stride(rows: Sequence[Row], answers: Sequence[Answer], n_running: int) -> Stride | None:
    """After a pass over some rows, before their tokens are taken; None where one is not plain."""
    if len(rows) != n_running:
        return None
    is_plain = all(
        isinstance(answer, list)
        and len(answer) == 1
        and row.drafter is None
        and not row.can_draft
        and row.memory is None
        for row, answer in zip(rows, answers, strict=True)
    )
    return Stride(rows) if is_plain else None


def choose_uniforms(rows: Sequence[Row]) -> list[float]:
    """Of each row the number of its draw after next; none at all where all are greedy."""
    if all(row.generator is None for row in rows):
        return []
    return [0.0 if row.uniforms is None else row.uniforms.peek(2)[1] for row in rows]


def take_drawn(row: Row, drawn: Drawn, n_most_tokens: int) -> FinishReason | None:
    """Take a row's next token, which was computed and drawn; why it ends with it, or None.

    A row has room for `n_most_tokens`, its prompt's among them.
    """
    row.n_passes += 1
    if row.uniforms is not None:
        row.uniforms.spend(1)
    row.known_ids.append(drawn.token_id)
    reason = row.middle.take(drawn.token_id, drawn.logprob)
    if reason is None and len(row.known_ids) > n_most_tokens:
        return FinishReason.CONTEXT_FULL
    return reason
