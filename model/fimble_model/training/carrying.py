"""Carrying files to another machine and back, in pieces small enough for any way of copying.

Owns the form: a flat folder of pieces and `manifest.json`, which says what file each piece is of
and what its bytes hash to. A folder may hold some of the pieces only; those that have come wait
in the working folder until the last one is there, and then the files are put together.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from fimble_model.training.faults import TrainingError
from fimble_model.training.storage import open_whole, write_text_whole

__all__ = ["Piece", "Taken", "carry_files", "take_files"]

_MANIFEST = "manifest.json"
_WAITING = "carried"
_PIECE_BYTES = 15_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of bytes of the file `path`, which is relative to the working folder."""

    name: str
    path: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What has been put together now or before, and the pieces that have not come yet."""

    paths: tuple[str, ...]
    missing: tuple[str, ...]


def carry_files(
    work: Path, paths: Sequence[Path], out: Path, *, piece_bytes: int = _PIECE_BYTES
) -> tuple[Piece, ...]:
    """Write the files, which lie below `work`, to `out` in pieces; what `out` held is removed."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pieces: list[Piece] = []
    for path in paths:
        inner = path.relative_to(work).as_posix()
        with path.open("rb") as file:
            # A file without a byte is a piece too.
            data = file.read(piece_bytes)
            while data or not path.stat().st_size:
                name = f"piece-{len(pieces):03d}"
                with open_whole(out / name) as piece_file:
                    piece_file.write(data)
                digest = hashlib.sha256(data).hexdigest()
                pieces.append(Piece(name=name, path=inner, n_bytes=len(data), sha256=digest))
                if not data:
                    break
                data = file.read(piece_bytes)
    manifest = json.dumps([asdict(piece) for piece in pieces], indent=1)
    write_text_whole(out / _MANIFEST, manifest + "\n")
    return tuple(pieces)


def take_files(folder: Path, work: Path) -> Taken:
    """Take the pieces that `folder` holds, and put together every file whose pieces have come.

    Raises `TrainingError` for a folder without manifest, for a piece that is not what it says
    there, and for a manifest that names a place outside the working folder.
    """
    pieces = _load_manifest(folder)
    waiting = work / _WAITING
    waiting.mkdir(parents=True, exist_ok=True)
    for piece in pieces:
        source = folder / piece.name
        if source.is_file() and not (waiting / piece.sha256).is_file():
            _check(piece, source)
            with open_whole(waiting / piece.sha256) as file:
                file.write(source.read_bytes())
    by_path: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_path.setdefault(piece.path, []).append(piece)
    missing: list[str] = []
    whole: list[str] = []
    for inner, own in by_path.items():
        lacking = [piece.name for piece in own if not (waiting / piece.sha256).is_file()]
        missing += lacking
        if not lacking:
            _join(own, waiting, work / inner)
            whole.append(inner)
    if not missing:
        shutil.rmtree(waiting)
    return Taken(paths=tuple(whole), missing=tuple(missing))


def _load_manifest(folder: Path) -> list[Piece]:
    try:
        rows = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        pieces = [Piece(**row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            expected=f"{_MANIFEST} of `fimble-train carry` in {folder}",
            found=type(error).__name__,
            to_do="Name the folder that was carried here; its manifest belongs to every part.",
        ) from error
    for piece in pieces:
        path = PurePosixPath(piece.path)
        if path.is_absolute() or ".." in path.parts or "/" in piece.name:
            raise TrainingError(
                expected=f"paths inside the working folder in {_MANIFEST}",
                found=piece.path,
                to_do="Make the folder again with `fimble-train carry`.",
            )
    return pieces


def _check(piece: Piece, source: Path) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != piece.sha256:
        raise TrainingError(
            expected=f"{piece.name} as {_MANIFEST} says, {piece.n_bytes:,} bytes",
            found=f"{source.stat().st_size:,} bytes that hash otherwise",
            to_do="Copy this piece again.",
        )


def _join(pieces: Sequence[Piece], waiting: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_whole(target) as file:
        for piece in pieces:
            file.write((waiting / piece.sha256).read_bytes())
