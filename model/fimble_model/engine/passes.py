"""Passes over one cache: run, timed, counted, and tried again where memory ran out.

Owns the runner's use and the numbers that come of it. Never chooses rows or tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from fimble_model.engine.accounts import EngineWork
from fimble_model.engine.pass_costs import PassCosts
from fimble_model.engine.pass_halving import PassHalving, halve
from fimble_model.engine.pieces import Answer, Drawn, PassRunner, Piece, cut_piece
from fimble_model.engine.protocol import Clock
from fimble_model.engine.row import Row
from fimble_model.engine.slots import SlotCache
from fimble_model.engine.strides import choose_uniforms
from fimble_model.network.cost import PassCost

__all__ = ["Passes"]

log = logging.getLogger(__name__)

# The CPU's allocator; the CUDA driver, by way of Triton too; cuBLAS.
_LACKS = ("allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Passes:
    """Keeps the invariant that `work` counts every pass that came to its end."""

    def __init__(self, runner: PassRunner, cache: SlotCache, cost: PassCost, clock: Clock) -> None:
        self.work = EngineWork()
        self.costs = PassCosts()
        self.cost = cost
        self.runner = runner
        self._cache = cache
        self._clock = clock
        self._halving = PassHalving()

    def run(self, pieces: Sequence[Piece]) -> list[Answer]:
        """Each piece's answer. Raises what the network raises.

        Out of memory, it drops all kept prefixes and tries once more: a longer prefill later
        is better than no answer now. What still does not fit is computed in halves.
        """
        shape = [piece.shape for piece in pieces]
        started_ms = self._clock.now_ms()
        answers = self._run_in_parts(pieces)
        pass_ms = self._clock.now_ms() - started_ms
        n_tokens = sum(row.n_tokens for row in shape)
        self.costs.note(n_tokens, pass_ms)
        self.work += EngineWork(
            n_passes=1,
            n_pass_tokens=n_tokens,
            pass_ms=pass_ms,
            flops=self.cost.flops(shape),
            bytes_read=self.cost.bytes_read(shape),
        )
        return answers

    def run_on(self, rows: Sequence[Row]) -> list[Drawn] | None:
        """The next token of each row of a stride, where the runner has it at hand; else None."""
        uniforms, kvs = choose_uniforms(rows), [row.kv for row in rows]
        n_cached = sum(row.n_computed for row in rows)
        started_ms = self._clock.now_ms()
        found = self.runner.run_on(kvs, uniforms)
        if found is None:
            return None
        pass_ms = self._clock.now_ms() - started_ms
        self.costs.note(len(rows), pass_ms)
        self.work += EngineWork(
            n_passes=1,
            n_pass_tokens=len(rows),
            pass_ms=pass_ms,
            flops=self.cost.flops_of_decoding(len(rows), n_cached),
            bytes_read=self.cost.bytes_read_in_decoding(len(rows), n_cached),
        )
        return list(map(Drawn, *found))  # type: ignore[arg-type]  # ids are plain integers here

    def run_uncounted(self, pieces: Sequence[Piece]) -> list[Answer]:
        """The same for measuring: no work that anybody asked for, and no second try."""
        return self.runner.run(pieces)

    def _run_in_parts(self, pieces: Sequence[Piece]) -> list[Answer]:
        answers: list[Answer] = []
        for part in self._halving.split([len(piece.token_ids) for piece in pieces]):
            answers += self._run_part(pieces[part])
        return answers

    def _run_part(self, pieces: Sequence[Piece]) -> list[Answer]:
        try:
            return self.runner.run(pieces)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        log.warning("out of memory in a pass: all kept prefixes are dropped")
        self._cache.drop_kept()
        self.runner.give_way()
        n_tokens = sum(len(piece.token_ids) for piece in pieces)
        try:
            return self.runner.run(pieces)
        except Exception as error:
            if not _is_out_of_memory(error) or n_tokens == 1:
                raise
        self._halving.note_failure(n_tokens)
        if len(pieces) == 1:
            return [self._run_in_two(pieces[0])]
        return [answer for half in halve(pieces) for answer in self._run_part(half)]

    def _run_in_two(self, piece: Piece) -> Answer:
        first, second = cut_piece(piece)
        parts = [*self._run_part([first]), *self._run_part([second])]
        lines = [part for part in parts if isinstance(part, Tensor)]
        if lines:
            return torch.cat(lines)
        return [drawn for part in parts if not isinstance(part, Tensor) for drawn in part]


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA and Python have types for it; the CPU's allocator and CUDA's libraries have words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _LACKS)
