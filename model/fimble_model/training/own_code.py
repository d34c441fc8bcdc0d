"""The user's own repository as documents to tune on, and those of them to measure on.

Owns which files are read. Files of secrets and what version control or a package manager put
there are not; nor is anything outside the folder, where a link may lead. Writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fimble_model.training.cleaning import clean_documents
from fimble_model.training.deliveries import Member, is_wanted, read_members
from fimble_model.training.documents import Document
from fimble_model.training.faults import TrainingError
from fimble_model.training.scrub import BenchmarkScrub

__all__ = ["OwnCode", "read_own_code"]

_HELD_OUT_ONE_IN = 8
_MAX_CHARS = 50_000_000
_SECRET_NAMES = ("credential", "secret", "password", "id_rsa", ".pem", ".key", ".env")


class OwnCode(NamedTuple):
    """What to tune on, what to measure on, and how many files each filter removed."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]
    removed: dict[str, int]


def read_own_code(folder: Path) -> OwnCode:
    """The program text below a folder, cleaned; one file in eight is held out.

    Which ones depends on their paths alone, so that the next tuning holds out the same. Raises
    `TrainingError` where there is too little.
    """
    if not folder.is_dir():
        raise TrainingError(
            expected=f"a folder of source code at {folder}",
            found="no folder",
            to_do="Name the root of your repository.",
        )
    name = folder.resolve().name
    documents, skipped = read_members(_members(folder), name)
    cleaned = clean_documents(
        documents, scrub=BenchmarkScrub(iter(())), package_chars=_MAX_CHARS, whole_tests=True
    )
    ranked = sorted(cleaned.documents, key=lambda d: hashlib.sha256(d.path.encode()).digest())
    n_held_out = max(len(ranked) // _HELD_OUT_ONE_IN, 1)
    if len(ranked) < 4:
        raise TrainingError(
            expected="at least four files of source code to tune and to measure on",
            found=f"{len(ranked)} that are fit",
            to_do="Name a larger folder; see the counts of what the filters removed.",
        )
    return OwnCode(
        train=tuple(ranked[n_held_out:]),
        held_out=tuple(ranked[:n_held_out]),
        removed={**skipped, **cleaned.removed},
    )


def _members(folder: Path) -> Iterator[Member]:
    root = folder.resolve()
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        is_hidden = any(part.startswith(".") for part in inner.parts)
        is_secret = any(name in path.name.lower() for name in _SECRET_NAMES)
        if is_hidden or is_secret or path.is_symlink() or not path.is_file():
            continue
        if is_wanted(inner.as_posix()):
            yield Member(inner.as_posix(), path.stat().st_size, path.read_bytes)
