"""The list of what the models learn from: one entry a package, in `sources.toml`.

Owns the list's form. Never fetches anything, and never judges a licence: what the list says
is what we expect, and `licences` compares it with the package's own word.
"""

from __future__ import annotations

import enum
import tomllib
from dataclasses import dataclass
from pathlib import Path

from fimble_model.training.faults import TrainingError

__all__ = ["SHIPPED_SOURCES", "Origin", "Source", "load_sources"]

SHIPPED_SOURCES = Path(__file__).with_name("sources.toml")


class Origin(enum.Enum):
    """Where a source's files are delivered from."""

    PACKAGE_INDEX = "package-index"
    INTERPRETER = "interpreter"
    NPM = "npm"
    DEBIAN = "debian"
    DEBIAN_BINARY = "debian-binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One package. A held-out one is measured on and never trained on.

    `language` is what the package is listed for; files of other languages in it count too.
    """

    name: str
    version: str | None
    licence: str
    language: str
    held_out: bool
    origin: Origin

    @property
    def label(self) -> str:
        """A name that no other source of the list has and that a file may have.

        >>> Source(name="@noble/hashes", version=None, licence="MIT", language="typescript",
        ...        held_out=False, origin=Origin.NPM).label
        'npm-noble-hashes'
        """
        if self.origin in (Origin.PACKAGE_INDEX, Origin.INTERPRETER):
            return self.name
        return f"{self.origin.value}-{self.name.removeprefix('@').replace('/', '-')}"


def load_sources(path: Path = SHIPPED_SOURCES) -> tuple[Source, ...]:
    """The sources listed in a TOML file, in its order."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["source"]
        sources = tuple(_parse_source(entry) for entry in entries)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            expected=f"a TOML list of [[source]] tables with name and licence in {path}",
            found=f"{type(error).__name__}: {error}",
            to_do="Compare it with the list that ships in fimble_model/training.",
        ) from error
    _require_unique_labels(sources)
    return sources


def _parse_source(entry: dict[str, str | bool]) -> Source:
    unknown = set(entry) - {"name", "version", "licence", "language", "held_out", "origin"}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    version = entry.get("version")
    return Source(
        name=str(entry["name"]),
        version=None if version is None else str(version),
        licence=str(entry["licence"]),
        language=str(entry.get("language", "python")),
        held_out=bool(entry.get("held_out", False)),
        origin=Origin(entry.get("origin", Origin.PACKAGE_INDEX.value)),
    )


def _require_unique_labels(sources: tuple[Source, ...]) -> None:
    labels = [source.label for source in sources]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise TrainingError(
            expected="each package once in the list of sources",
            found=f"{', '.join(repeated)} more than once",
            to_do="Keep one entry: a package is either trained on or held out.",
        )
