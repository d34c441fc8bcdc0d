"""Keeping benchmarks out of the corpus: no document may share 13 words in a row with one.

Owns the reading of benchmark files (JSON lines, gzipped or plain) and the comparison. Where
no folder is given nothing is scrubbed, and the model card says so.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fimble_model.training.duplicates import Hashes, hash_ngrams, hash_words
from fimble_model.training.faults import TrainingError

__all__ = ["BenchmarkScrub", "load_scrub"]

_N_WORDS = 13


class BenchmarkScrub:
    """The 13-grams of all benchmark texts. Immutable once built."""

    def __init__(self, texts: Iterator[str]) -> None:
        grams = [hash_ngrams(hash_words(text), _N_WORDS) for text in texts]
        self._grams = np.unique(np.concatenate(grams)) if grams else np.empty(0, np.uint64)

    @property
    def n_grams(self) -> int:
        """How many distinct 13-grams are kept out; 0 where no benchmark was given."""
        return len(self._grams)

    def is_contaminated(self, text: str) -> bool:
        """True where `text` shares 13 words in a row with a benchmark."""
        return self.holds_words(hash_words(text))

    def holds_words(self, words: Hashes) -> bool:
        """The same of a text whose words are hashed already."""
        if not self.n_grams:
            return False
        grams = hash_ngrams(words, _N_WORDS)
        # Both are sorted sets: look up where each gram would stand, and see if it stands there.
        at = np.searchsorted(self._grams, grams).clip(max=self.n_grams - 1)
        return bool((self._grams[at] == grams).any())


def load_scrub(folders: tuple[Path, ...]) -> BenchmarkScrub:
    """The scrub for every `.jsonl` and `.jsonl.gz` below the folders."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*.jsonl*"))]
    if folders and not paths:
        raise TrainingError(
            expected="benchmark files (.jsonl or .jsonl.gz) below the folders given",
            found="none",
            to_do="Name the folder that holds them, or leave the option out.",
        )
    return BenchmarkScrub(text for path in paths for text in _benchmark_texts(path))


def _benchmark_texts(path: Path) -> Iterator[str]:
    """For each problem its fields alone, and the program that prompt and solution make."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            problem = {k: v for k, v in json.loads(line).items() if isinstance(v, str)}
            yield from problem.values()
            solution = problem.get("canonical_solution", "")
            yield problem.get("prompt", "") + solution + problem.get("suffix", "")
