"""Training rows: samples packed until a row is full, the same for the same seed and number.

Owns the order in which documents are visited. A row depends on the documents, the seed and its
number alone, so any number of workers makes the same rows, and a run resumes with one number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from fimble_model.training.documents import Document
from fimble_model.training.neighbours import Neighbours
from fimble_model.training.samples import SampleMaker

__all__ = ["RowStream"]

_FULL_WINDOW_SHARE = 0.5
_MIN_WINDOW_TOKENS = 64
_CHARS_PER_SLOT_TOKEN = 1.6
# How many places in the order each row has for itself; one that needs more draws at random.
_SLOTS_PER_ROW = 6


class RowStream:
    """An endless stream of rows of `n_tokens` tokens, each filled to the end.

    An epoch visits each document as often as its length deserves, in a new order and with new
    cuts. Invariant: the rows to come depend on documents, seed and `next_index` alone.
    """

    def __init__(
        self, documents: Sequence[Document], maker: SampleMaker, *, n_tokens: int, seed: int
    ) -> None:
        self.next_index = 0
        self._neighbours = Neighbours(documents)
        self._maker = maker
        self._n_tokens = n_tokens
        self._seed = seed
        chars_per_slot = n_tokens * _CHARS_PER_SLOT_TOKEN
        self._slots = [
            index
            for index, document in enumerate(documents)
            for _ in range(max(round(len(document.text) / chars_per_slot), 1))
        ]
        self._order: tuple[int, list[int]] | None = None

    def next_row(self) -> list[int]:
        """The next row; moves on."""
        row = self.make_row(self.next_index)
        self.next_index += 1
        return row

    def make_row(self, row_index: int) -> list[int]:
        """The row of that number."""
        rng = random.Random(f"{self._seed}/{row_index}")
        waiting = self._documents_for(row_index)
        row: list[int] = []
        while (n_left := self._n_tokens - len(row)) > _MIN_WINDOW_TOKENS:
            window = n_left
            if rng.random() >= _FULL_WINDOW_SHARE:
                window = rng.randint(_MIN_WINDOW_TOKENS, n_left)
            index = waiting.pop() if waiting else rng.choice(self._slots)
            sample = self._maker.make_in_repository(self._neighbours, index, rng, n_tokens=window)
            row.extend(sample.token_ids)
        while len(row) < self._n_tokens:
            text = self._neighbours.document(rng.choice(self._slots)).text
            plain = self._maker.make_plain(text, rng, n_tokens=self._n_tokens - len(row))
            row.extend(plain.token_ids)
        return row

    def _documents_for(self, row_index: int) -> list[int]:
        n_slots = len(self._slots)
        first = row_index * _SLOTS_PER_ROW
        places = range(first, first + _SLOTS_PER_ROW)
        return [self._shuffled(place // n_slots)[place % n_slots] for place in places]

    def _shuffled(self, epoch: int) -> list[int]:
        if self._order is None or self._order[0] != epoch:
            order = list(self._slots)
            random.Random(f"{self._seed}/epoch {epoch}").shuffle(order)
            self._order = (epoch, order)
        return self._order[1]
