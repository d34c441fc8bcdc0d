"""Passes on a GPU: decoding rows in fixed batches, prompts beside them, the next step begun ahead.

Owns the order in which work is handed to the card and the one wait of a step. Implements
`engine.pieces.PassRunner`; what a step computes is `steps`', and how much memory is `manners`'.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fimble_model.engine.kv_cache import KvRow
from fimble_model.engine.pieces import Answer, Drawn, Piece, Wish
from fimble_model.engine.protocol import Clock, TokenId
from fimble_model.gpu.buckets import MOST_ROW_TOKENS, Batch, all_buckets, plan_batches
from fimble_model.gpu.card import Card
from fimble_model.gpu.decoder import FusedDecoder
from fimble_model.gpu.looking_ahead import (
    Hopes,
    LookedAhead,
    expects,
    may_go_on,
    wish_after,
)
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
    """The step begun ahead and what it draws. Its rows, in its lines' order, were fed `fed_ids`.

    Before it a row has `n_cached_R` slots; from its token on it may take `n_left_R`.
    """

    rows: Sequence[KvRow]
    fed_ids: Sequence[int]
    wishes: Sequence[Wish]
    uniforms: Sequence[float]
    n_cached_R: npt.NDArray[np.int64]
    n_left_R: npt.NDArray[np.int64]
    picks: Picks

    def looked(self) -> list[LookedAhead]:
        """Its rows one by one."""
        uniforms = self.uniforms or [0.0] * len(self.rows)
        columns = (self.rows, self.fed_ids, self.n_cached_R.tolist(), self.wishes, uniforms)
        return [LookedAhead(*each) for each in zip(*columns, strict=True)]

    def places_of(self, rows: Sequence[KvRow]) -> npt.NDArray[np.intp] | None:
        """The lines of some rows; None where one is missing."""
        if len(rows) == len(self.rows) and all(map(operator.is_, rows, self.rows)):
            return np.arange(len(rows))
        known = {id(row): index for index, row in enumerate(self.rows)}
        found = [known.get(id(row)) for row in rows]
        if any(index is None for index in found):
            return None
        return np.array(found, dtype=np.intp)


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
        going = [] if long or len(queued) != 1 else self._choose_ahead(pieces, queued[0])
        ahead = self._begin_ahead(going) if going else None
        answers: dict[int, Answer] = {}
        if long:
            long_pieces = [pieces[i] for i in long]
            found = run_prefill(self._decoder, self._cache.pool, self._card, long_pieces)
            answers.update(zip(long, found, strict=True))
        for step in queued:
            answers.update(_read(pieces, step))
        if ahead is not None:
            drawn_ids, _ = queued[0].picks.wait()
            self._ahead = ahead._replace(fed_ids=[drawn_ids[line] for _, line in going])
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

    def run_on(
        self, rows: Sequence[KvRow], uniforms: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]] | None:
        """See `PassRunner.run_on`: what was begun ahead, the step after it begun before it is read.

        No row is looked at by itself but to keep its token, and where a page of its begins.
        """
        ahead = self._ahead
        places_R = None if ahead is None else ahead.places_of(rows)
        if ahead is None or places_R is None:
            return None
        try:
            with torch.inference_mode():
                self._ahead = None
                self.hopes.note_hit()
                after = self._begin_after(ahead, places_R, uniforms)
                drawn_ids, drawn_logprobs = ahead.picks.wait()
        except Exception:
            self._card.mark().wait()
            raise
        for row, place in zip(rows, places_R.tolist(), strict=True):
            row.token_ids.append(TokenId(ahead.fed_ids[place]))
        if after is not None:
            goes_on_R, after_ahead = after
            fed_ids = [drawn_ids[place] for place in goes_on_R.tolist()]
            self._ahead = after_ahead._replace(fed_ids=fed_ids)
        lines = places_R.tolist()
        return [drawn_ids[line] for line in lines], [drawn_logprobs[line] for line in lines]

    def _begin_after(
        self, ahead: _Ahead, places_R: npt.NDArray[np.intp], uniforms: Sequence[float]
    ) -> tuple[npt.NDArray[np.intp], _Ahead] | None:
        """The step after one begun ahead, for those of its rows that may go on, and their lines."""
        may_go_on_R = ahead.n_left_R[places_R] > 1
        if not may_go_on_R.any() or not self.hopes.may_begin():
            return None
        goes_on_R = places_R[may_go_on_R]
        lines = goes_on_R.tolist()
        if uniforms:
            uniforms = [uniforms[index] for index in np.flatnonzero(may_go_on_R).tolist()]
        rows: list[KvRow] = [ahead.rows[line] for line in lines]
        n_cached_R = ahead.n_cached_R[goes_on_R] + 1

        def pages_of(index: int) -> Sequence[int]:
            # Two slots: of the step that was begun ahead, and of this one.
            row = rows[index]
            row.prepare(2)
            return row.pages

        (batch,) = plan_batches([1] * len(rows))
        self._steps.queue_next(batch.bucket, goes_on_R, pages_of, uniforms)
        return goes_on_R, _Ahead(
            rows=rows,
            fed_ids=(),
            wishes=[ahead.wishes[line] for line in lines],
            uniforms=uniforms,
            n_cached_R=n_cached_R,
            n_left_R=ahead.n_left_R[goes_on_R] - 1,
            picks=self._steps.fetch(batch.bucket.n_tokens),
        )

    def _take_ahead(self, pieces: Sequence[Piece], short: Sequence[int]) -> list[_Queued] | None:
        """The step begun ahead where it is the one that is asked for; else it is dropped."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        places = expects(ahead.looked(), [pieces[i] for i in short]) if short else None
        if places is None:
            self.hopes.note_drop()
            return None
        self.hopes.note_hit()
        return [_Queued(short, places, ahead.picks, {})]

    def _choose_ahead(self, pieces: Sequence[Piece], step: _Queued) -> list[tuple[Piece, int]]:
        """The rows to begin the next step with, before this one's tokens are known here.

        Each with its line in this step.
        """
        asked = [pieces[i] for i in step.indices]
        is_plain = all(piece.wish is not None and len(piece.token_ids) == 1 for piece in asked)
        if not self._looks_ahead or not is_plain or not self.hopes.may_begin():
            return []
        return [
            (piece, line) for piece, line in zip(asked, step.lines, strict=True) if may_go_on(piece)
        ]

    def _begin_ahead(self, going: Sequence[tuple[Piece, int]]) -> _Ahead:
        """A step after the one queued last; `fed_ids` are known when that is read."""
        rows: list[KvRow] = [piece.row for piece, _ in going]
        wishes = [wish_after(piece) for piece, _ in going]
        for row in rows:
            # This step's token and the next one's.
            row.prepare(2)
        n_cached = [len(row.token_ids) + 1 for row in rows]
        (batch,) = plan_batches([1] * len(rows))
        self._steps.queue(
            batch.bucket,
            [
                BatchRow((), n, row.pages, 0, wish, line)
                for n, row, wish, (_, line) in zip(n_cached, rows, wishes, going, strict=True)
            ],
        )
        return _Ahead(
            rows=rows,
            fed_ids=(),
            wishes=wishes,
            uniforms=[wish.uniforms[0] if wish.uniforms else 0.0 for wish in wishes],
            n_cached_R=np.array(n_cached),
            n_left_R=np.array(
                [
                    min(wish.n_most_tokens, row.capacity - n)
                    for n, row, wish in zip(n_cached, rows, wishes, strict=True)
                ]
            ),
            picks=self._steps.fetch(batch.bucket.n_tokens),
        )


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
