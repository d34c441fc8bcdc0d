"""Which files of a folder are typed, and where in them.

Owns the choice: evenly over packages and languages, shuffled by the seed. Reads the files; what
holds secrets or is no program text is left out.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimble_eval.typing_replay import Spot, plan_spots
from fimble_server.context.secret_files import find_secrecy
from fimble_server.document.languages import language_for_path
from fimble_server.errors import FimbleError

__all__ = ["Place", "SourceFile", "choose_files", "places_in", "read_sources"]

_LEAST_CHARS, _MOST_CHARS = 600, 100_000
_SKIPPED_FOLDERS = frozenset({".git", "node_modules", "__pycache__", "dist-info"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of a package; `name` is its path in the folder, the package its first part."""

    name: str
    package: str
    language_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One stretch to type. Where `is_at_end`, nothing of the file stands below it yet."""

    file: SourceFile
    spot: Spot
    is_at_end: bool

    @property
    def name(self) -> str:
        """The place among all of a replay's."""
        return f"{self.file.name}@{self.spot.start}"


def read_sources(folder: Path) -> tuple[SourceFile, ...]:
    """Every source file in a folder. Raises `FimbleError` where there is none."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        language_id = language_for_path(path.name).language_id
        is_skipped = any(
            part in _SKIPPED_FOLDERS or part.endswith(".dist-info") for part in Path(name).parts
        )
        if is_skipped or language_id == "plaintext" or not path.is_file() or find_secrecy(name):
            continue
        text = _try_read(path)
        if text is not None:
            package = name.partition("/")[0] if "/" in name else folder.name
            found.append(SourceFile(name=name, package=package, language_id=language_id, text=text))
    if not found:
        raise FimbleError(
            expected="a folder with source files of a few lines",
            found=f"none in {folder}",
            to_do="Name a folder of packages, such as unpacked wheels.",
        )
    return tuple(found)


def _try_read(path: Path) -> str | None:
    """The text of a file of a fit size with line feeds; None for all else."""
    try:
        if not _LEAST_CHARS <= path.stat().st_size <= _MOST_CHARS:
            return None
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def choose_files(
    sources: Sequence[SourceFile], *, n_files: int, seed: int
) -> tuple[SourceFile, ...]:
    """At most `n_files`, from every language of every package in turn."""
    groups: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
    for source in sources:
        groups[source.language_id, source.package].append(source)
    rng = random.Random(seed)
    queues = deque(deque(rng.sample(group, len(group))) for group in groups.values())
    chosen: list[SourceFile] = []
    while queues and len(chosen) < n_files:
        group = queues.popleft()
        chosen.append(group.popleft())
        if group:
            queues.append(group)
    return tuple(chosen)


def places_in(source: SourceFile, *, n_chars: int) -> tuple[Place, ...]:
    """Two stretches of a file, of about `n_chars` together: one inside it, one at its end.

    The first leaves below it what stands there; the second is typed as the file's last lines
    are, with nothing below.
    """
    spots = plan_spots(source.text, n_spots=3, n_chars=max(1, n_chars // 2))[1:]
    return tuple(
        Place(file=source, spot=spot, is_at_end=index == 1) for index, spot in enumerate(spots)
    )
