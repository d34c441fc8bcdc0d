"""Rows made ahead by other processes, for a device that trains faster than one core cuts.

Owns the processes and the order: rows come out as one process would make them, whatever the
number of workers, because a row depends on its number alone.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Protocol

from fimble_model.training.rows import RowStream

__all__ = ["RowWorkers", "Rows"]

_ROWS_A_TASK = 4
_TASKS_AHEAD_A_WORKER = 3


class Rows(Protocol):
    """Where a trainer takes its rows from. `next_index` may be set, to go on from there."""

    next_index: int

    def next_row(self) -> list[int]:
        """The next row; moves on."""
        ...


class RowWorkers:
    """The rows of a stream, made ahead by `n_workers` processes.

    Invariant: tasks wait in the order of their rows. Start it before a GPU is touched: its
    processes are forks, so that they share the documents.
    """

    def __init__(self, stream: RowStream, *, n_workers: int) -> None:
        # Each worker is one thread; the tokenizer's own would fight over the cores.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._pool = ProcessPoolExecutor(
            n_workers,
            mp_context=multiprocessing.get_context("fork"),
            initializer=_remember,
            initargs=(stream,),
        )
        self._n_ahead = n_workers * _TASKS_AHEAD_A_WORKER
        self._tasks: deque[Future[list[list[int]]]] = deque()
        self._ready: deque[list[int]] = deque()
        self._next_index = 0
        self._next_task_index = 0
        self._refill()

    @property
    def next_index(self) -> int:
        """The number of the row that comes next."""
        return self._next_index

    @next_index.setter
    def next_index(self, row_index: int) -> None:
        if row_index == self._next_index:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._ready.clear()
        self._next_index = self._next_task_index = row_index
        self._refill()

    def next_row(self) -> list[int]:
        """The next row; waits for it where the workers are behind."""
        if not self._ready:
            self._ready.extend(self._tasks.popleft().result())
            self._refill()
        self._next_index += 1
        return self._ready.popleft()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _refill(self) -> None:
        while len(self._tasks) < self._n_ahead:
            self._tasks.append(self._pool.submit(_make_rows, self._next_task_index, _ROWS_A_TASK))
            self._next_task_index += _ROWS_A_TASK


# The stream of this process, once it is a worker.
_streams: list[RowStream] = []


def _remember(stream: RowStream) -> None:
    _streams[:] = [stream]


def _make_rows(first: int, count: int) -> list[list[int]]:
    return [_streams[0].make_row(index) for index in range(first, first + count)]
