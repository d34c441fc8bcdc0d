"""Which of the clean documents one model learns from: so much of each language and package.

Owns the choice. Pure. A smaller mix of the same shares is a subset of a larger one, because
documents are taken in an order that depends on their names alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fimble_model.training.documents import Document

__all__ = ["SHARES", "CorpusMix", "choose_documents"]

# Python about half (issue 4); the rest guessed from what editors open.
SHARES: Mapping[str, float] = MappingProxyType(
    {
        "python": 0.48, "javascript": 0.08, "typescript": 0.09, "tsx": 0.01, "c": 0.05,
        "cpp": 0.06, "go": 0.065, "rust": 0.06, "java": 0.06, "shell": 0.01, "sql": 0.005,
        "html": 0.005, "css": 0.005, "json": 0.005, "yaml": 0.005, "toml": 0.003,
        "markdown": 0.012, "lua": 0.01,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusMix:
    """At most `n_chars` characters in all and `package_chars` from one package."""

    n_chars: int
    package_chars: int
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)


def choose_documents(documents: Iterable[Document], mix: CorpusMix) -> list[Document]:
    """The documents to train on. A language that has less than its share gives all it has."""
    by_name = sorted(documents, key=_order)
    language_chars: Counter[str] = Counter()
    package_chars: Counter[str] = Counter()
    chosen: list[Document] = []
    for document in by_name:
        n_chars = len(document.text)
        room = mix.n_chars * mix.shares.get(document.language, 0.0)
        if language_chars[document.language] + n_chars > room:
            continue
        if package_chars[document.package] + n_chars > mix.package_chars:
            continue
        language_chars[document.language] += n_chars
        package_chars[document.package] += n_chars
        chosen.append(document)
    return chosen


def _order(document: Document) -> bytes:
    return hashlib.sha256(f"{document.package}/{document.path}".encode()).digest()
