"""Passes on a GPU: decoding rows in fixed batches, prompts beside them, the next step begun ahead.

Owns the order in which work is handed to the card and the one wait of a step. Implements
`engine.pieces.PassRunner`; what a step computes is `steps`', and how much memory is `manners`'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.pieces import Answer, Drawn, Piece
from fimble_model.engine.protocol import Clock, TokenId
from fimble_model.gpu.buckets import MOST_ROW_TOKENS, Batch, all_buckets, plan_batches
from fimble_model.gpu.card import Card
from fimble_model.gpu.decoder import FusedDecoder
from fimble_model.gpu.looking_ahead import Hopes, LookedAhead, expects, rows_to_look_ahead
from fimble_model.gpu.manners import Manners
from fimble_model.gpu.pool import GpuCache
from fimble_model.gpu.prefill import run_prefill
from fimble_model.gpu.static_batch import BatchRow
from fimble_model.gpu.steps import DecodeSteps, Picks

__all__ = ["GpuRunner"]

log = logging.getLogger(__name__)


class _Queued(NamedTuple):
    """A step under way: of each piece its index in the pass, and the line of its first token.

    `logprobs` are those of the pieces without a wish, by their index in the pass.
    """

    indices: Sequence[int]
    lines: Sequence[int]
    picks: Picks
    logprobs: dict[int, Tensor]


class _Ahead(NamedTuple):
    """The step begun ahead: its rows, the tokens they were fed, and what it draws."""

    rows: Sequence[LookedAhead]
    fed_ids: Sequence[int]
    picks: Picks


class GpuRunner:
    """Implements `PassRunner` over a `GpuCache`.

    Keeps the invariants that no row is extended by a pass that raised, and that a step begun
    ahead writes only beyond its rows' ends. `looks_ahead` None leaves that to the card.
    """

    grants_wishes = True

    def __init__(
        self,
        *,
        decoder: FusedDecoder,
        cache: GpuCache,
        card: Card,
        manners: Manners,
        clock: Clock,
        n_most_rows: int,
        has_graphs: bool = True,
        looks_ahead: bool | None = None,
    ) -> None:
        self.hopes = Hopes()
        self._decoder = decoder
        self._cache = cache
        self._card = card
        self._manners = manners
        self._clock = clock
        self._steps = DecodeSteps(
            decoder, cache.pool, card, all_buckets(n_most_rows), has_graphs=has_graphs
        )
        self._looks_ahead = card.can_capture if looks_ahead is None else looks_ahead
        self._ahead: _Ahead | None = None
        self._is_warm = False

    @property
    def n_graphs(self) -> int:
        """Graphs captured so far."""
        return self._steps.n_captured

    def warm_up(self, on_progress: Callable[[float], None]) -> None:
        """Capture a graph of every size, and so compile every kernel; tells the share done."""
        with torch.inference_mode():
            self._steps.capture_all(on_progress)
        self._is_warm = True

    def run(self, pieces: Sequence[Piece]) -> list[Answer]:
        """Tokens for pieces with a wish, else `logprobs_LV` on the card."""
        try:
            with torch.inference_mode():
                answers = self._run(pieces)
        except Exception:
            # What is under way may read buffers that the next pass fills.
            self._ahead = None
            self._card.mark().wait()
            raise
        for piece in pieces:
            piece.row.extend(piece.token_ids)
        return answers

    def give_way(self) -> None:
        """Drop what was begun ahead and what torch keeps; the pool shrinks when no row runs."""
        self._ahead = None
        self._manners.note_failure()
        self._card.give_back()

    def rest(self) -> None:
        """Between rows: give memory up where it is wanted, and capture what is not captured."""
        now_ms = self._clock.now_ms()
        if self._manners.should_look(now_ms) and self._resize(now_ms):
            return
        if self._is_warm:
            with torch.inference_mode():
                self._steps.capture_next()

    def _resize(self, now_ms: float) -> bool:
        free_bytes = self._card.free_bytes()
        if free_bytes is not None and free_bytes < self._manners.floor_bytes:
            self._card.give_back()
            free_bytes = self._card.free_bytes()
        n_before = self._cache.pool.n_pages
        n_pages = self._manners.choose_pages(n_before, free_bytes, now_ms)
        if n_pages == n_before:
            return False
        self._ahead = None
        self._steps.drop_graphs()
        self._cache.resize(n_pages)
        log.warning(
            "keys and values have %d pages now, %d before: others use the card too",
            self._cache.pool.n_pages,
            n_before,
        )
        return True

    def _run(self, pieces: Sequence[Piece]) -> list[Answer]:
        for piece in pieces:
            piece.row.prepare(len(piece.token_ids))
        short = [i for i, piece in enumerate(pieces) if len(piece.token_ids) <= MOST_ROW_TOKENS]
        long = [i for i, piece in enumerate(pieces) if len(piece.token_ids) > MOST_ROW_TOKENS]
        queued = self._take_ahead(pieces, short)
        if queued is None:
            batches = plan_batches([len(pieces[i].token_ids) for i in short])
            queued = [self._queue(pieces, short, batch) for batch in batches]
        rows = [] if long or len(queued) != 1 else self._choose_ahead(pieces, queued[0])
        ahead_picks = self._begin_ahead(rows) if rows else None
        answers: dict[int, Answer] = {}
        if long:
            long_pieces = [pieces[i] for i in long]
            found = run_prefill(self._decoder, self._cache.pool, self._card, long_pieces)
            answers.update(zip(long, found, strict=True))
        for step in queued:
            answers.update(_read(pieces, step))
        if ahead_picks is not None:
            drawn_ids, _ = queued[0].picks.wait()
            fed_ids = [drawn_ids[looked.line] for looked in rows]
            self._ahead = _Ahead(rows, fed_ids, ahead_picks)
        return [answers[i] for i in range(len(pieces))]

    def _queue(self, pieces: Sequence[Piece], short: Sequence[int], batch: Batch) -> _Queued:
        indices = [short[i] for i in batch.indices]
        rows = [
            BatchRow(
                piece.token_ids,
                len(piece.row.token_ids),
                piece.row.pages,
                piece.n_silent,
                piece.wish,
            )
            for piece in (pieces[i] for i in indices)
        ]
        self._steps.queue(batch.bucket, rows)
        lines = [place * batch.bucket.n_row_tokens for place in range(len(indices))]
        # The next step overwrites the logits: what is asked of them is queued before it.
        logprobs = {
            index: self._steps.logits_NV[line + piece.n_silent : line + len(piece.token_ids)]
            .float()
            .log_softmax(dim=-1)
            for index, line in zip(indices, lines, strict=True)
            if (piece := pieces[index]).wish is None
        }
        picks = self._steps.fetch(batch.bucket.n_tokens)
        if len(batch.indices) < len(short):
            # Another batch follows and will want the host's memory.
            picks.wait()
        return _Queued(indices, lines, picks, logprobs)

    def _take_ahead(self, pieces: Sequence[Piece], short: Sequence[int]) -> list[_Queued] | None:
        """The step begun ahead where it is the one that is asked for; else it is dropped."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        places = expects(ahead.rows, ahead.fed_ids, [pieces[i] for i in short]) if short else None
        if places is None:
            self.hopes.note_drop()
            return None
        self.hopes.note_hit()
        return [_Queued(short, places, ahead.picks, {})]

    def _choose_ahead(self, pieces: Sequence[Piece], step: _Queued) -> list[LookedAhead]:
        """The rows to begin the next step with, before this one's tokens are known here."""
        asked = [pieces[i] for i in step.indices]
        is_plain = all(piece.wish is not None and len(piece.token_ids) == 1 for piece in asked)
        if not self._looks_ahead or not is_plain or not self.hopes.may_begin():
            return []
        return rows_to_look_ahead(asked, step.lines)

    def _begin_ahead(self, rows: Sequence[LookedAhead]) -> Picks:
        for looked in rows:
            # This step's token and the next one's.
            looked.row.prepare(2)
        (batch,) = plan_batches([1] * len(rows))
        self._steps.queue(
            batch.bucket,
            [
                BatchRow((), one.n_cached, one.row.pages, wish=one.wish, source=one.line)
                for one in rows
            ],
        )
        return self._steps.fetch(batch.bucket.n_tokens)


def _read(pieces: Sequence[Piece], step: _Queued) -> dict[int, Answer]:
    """Every piece's answer; waits where some are tokens."""
    answers: dict[int, Answer] = dict(step.logprobs)
    for index, line in zip(step.indices, step.lines, strict=True):
        piece = pieces[index]
        if piece.wish is not None:
            ids, logprobs = step.picks.wait()
            loud = range(line + piece.n_silent, line + len(piece.token_ids))
            answers[index] = [Drawn(TokenId(ids[at]), logprobs[at]) for at in loud]
    return answers
