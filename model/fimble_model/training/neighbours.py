"""What other files of the same package say about a piece of code.

Owns the choice of repository context for a training sample: pieces of other files that share
the most identifiers with the text at hand (Jaccard). Keeps only the index of which documents
belong together.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from fimble_model.training.documents import Document

__all__ = ["Neighbour", "Neighbours", "jaccard", "split_pieces"]

_PIECE_LINES = 24
_N_FILES_LOOKED_AT = 6
_N_PIECES_A_FILE = 6
_IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")


class Neighbour(NamedTuple):
    """A piece of another file: whole lines, at most `_PIECE_LINES` of them."""

    path: str
    text: str


class Neighbours:
    """Finds pieces of a package's other files. Invariant: never one of the document itself."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._by_package: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, document in enumerate(documents):
            self._by_package[document.package, document.language].append(index)

    def document(self, index: int) -> Document:
        """The document at a place of the sequence."""
        return self._documents[index]

    def choose(self, index: int, text: str, rng: random.Random, *, count: int) -> list[Neighbour]:
        """At most `count` pieces from as many files, the most like `text` last.

        `text` is the part of document `index` that is at hand. Files are drawn at random before
        they are compared, so that no package is read from end to end for one sample.
        """
        document = self._documents[index]
        others = self._by_package[document.package, document.language]
        drawn = rng.sample(others, min(len(others), _N_FILES_LOOKED_AT + 1))
        wanted = frozenset(_IDENTIFIER.findall(text))
        best: list[tuple[float, Neighbour]] = []
        for other in drawn:
            if other == index:
                continue
            pieces = split_pieces(self._documents[other].text)
            looked_at = rng.sample(pieces, min(len(pieces), _N_PIECES_A_FILE))
            scored = [(jaccard(wanted, frozenset(_IDENTIFIER.findall(p))), p) for p in looked_at]
            score, piece = max(scored, default=(0.0, ""))
            if score > 0:
                best.append((score, Neighbour(self._documents[other].path, piece)))
        return [neighbour for _, neighbour in sorted(best)[-count:]]


def split_pieces(text: str) -> list[str]:
    """The text in pieces of whole lines."""
    lines = text.splitlines(keepends=True)
    return ["".join(lines[at : at + _PIECE_LINES]) for at in range(0, len(lines), _PIECE_LINES)]


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared over all; 0 for two empty sets."""
    n_all = len(one | other)
    return len(one & other) / n_all if n_all else 0.0
