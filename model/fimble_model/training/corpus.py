"""Fetching the sources, one by one, each kept once it is whole.

Owns what becomes of each source and the report of it. A package whose licence is not permissive
is refused by the reader of its origin before any of its files is opened. Never judges a file's
content; that is `cleaning`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fimble_model.training.debian_packages import fetch_debian, fetch_debian_binary
from fimble_model.training.deliveries import Package
from fimble_model.training.documents import write_documents
from fimble_model.training.faults import LicenceError
from fimble_model.training.npm_packages import fetch_npm
from fimble_model.training.sources import Origin, Source
from fimble_model.training.storage import write_text_whole
from fimble_model.training.wheels import fetch_wheel, read_interpreter

__all__ = ["FetchedSource", "fetch_corpus", "load_fetch_report"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSource:
    """What became of one source: its version and licence, its size, or why it was refused.

    `name` is the source's label. `skipped` counts files that are huge, unreadable or no text.
    """

    name: str
    version: str
    licence: str
    licence_stated_in: str
    held_out: bool
    n_files: int
    n_chars: int
    refused: str | None
    language: str = "python"
    language_chars: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def fetch_corpus(
    sources: tuple[Source, ...], folder: Path, *, on_source: Callable[[Source], None]
) -> tuple[FetchedSource, ...]:
    """Fetch every source into `folder`; sources already there are kept.

    Leaves `folder/raw/LABEL.jsonl` for each source that was accepted, and `fetch.json`. Raises
    `TrainingError` where a package cannot be had; what came before it stays.
    """
    raw_folder = folder / "raw"
    raw_folder.mkdir(parents=True, exist_ok=True)
    known = {fetched.name: fetched for fetched in load_fetch_report(folder)}
    for source in sources:
        if not _is_fetched(known.get(source.label), source, raw_folder):
            known[source.label] = _fetch_source(source, folder)
            rows = [asdict(known[each.label]) for each in sources if each.label in known]
            write_text_whole(folder / "fetch.json", json.dumps(rows, indent=1) + "\n")
        on_source(source)
    return tuple(known[source.label] for source in sources)


def load_fetch_report(folder: Path) -> tuple[FetchedSource, ...]:
    """What an earlier `fetch_corpus` into `folder` did; empty where there was none."""
    path = folder / "fetch.json"
    if not path.is_file():
        return ()
    return tuple(FetchedSource(**row) for row in json.loads(path.read_text(encoding="utf-8")))


def _is_fetched(fetched: FetchedSource | None, source: Source, raw_folder: Path) -> bool:
    if fetched is None or source.version not in (None, fetched.version):
        return False
    return fetched.refused is not None or (raw_folder / f"{source.label}.jsonl").is_file()


def _fetch_source(source: Source, folder: Path) -> FetchedSource:
    try:
        package = _deliver(source, folder / "downloads" / source.label)
    except LicenceError as error:
        log.warning("%s is left out: %s", source.label, error)
        return FetchedSource(
            name=source.label,
            version=source.version or "",
            licence=error.found,
            licence_stated_in="",
            held_out=source.held_out,
            n_files=0,
            n_chars=0,
            refused=str(error),
            language=source.language,
        )
    write_documents(package.documents, folder / "raw" / f"{source.label}.jsonl")
    language_chars: Counter[str] = Counter()
    for document in package.documents:
        language_chars[document.language] += len(document.text)
    return FetchedSource(
        name=source.label,
        version=package.version,
        licence=package.verdict.licence,
        licence_stated_in=package.verdict.stated_in,
        held_out=source.held_out,
        n_files=len(package.documents),
        n_chars=sum(language_chars.values()),
        refused=None,
        language=source.language,
        language_chars=dict(language_chars),
        skipped=package.skipped,
    )


def _deliver(source: Source, folder: Path) -> Package:
    if source.origin is Origin.INTERPRETER:
        return read_interpreter(source)
    fetch = {
        Origin.PACKAGE_INDEX: fetch_wheel,
        Origin.NPM: fetch_npm,
        Origin.DEBIAN: fetch_debian,
        Origin.DEBIAN_BINARY: fetch_debian_binary,
    }[source.origin]
    return fetch(source, folder)
