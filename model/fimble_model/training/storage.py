"""Files that appear only when they are whole, whatever happens while they are written.

Owns the writing beside and the moving into place, and what a full disk is told as.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fimble_model.training.faults import TrainingError

__all__ = ["open_whole", "place_whole", "write_text_whole"]


@contextmanager
def open_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path`, as `place_whole` has it."""
    with place_whole(path) as unfinished, unfinished.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def place_whole(path: Path) -> Iterator[Path]:
    """A path to write that takes the place of `path` when the block ends without a fault.

    Where it does not, `path` stays what it was. A full disk or a folder that cannot be written
    to is a `TrainingError`.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise TrainingError(
            expected=f"room and leave to write {path}",
            found=error.strerror or type(error).__name__,
            to_do="Make room, or choose another folder, and run the same command again: "
            "what was finished before is kept.",
        ) from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file, all or nothing."""
    with open_whole(path) as file:
        file.write(text.encode())
