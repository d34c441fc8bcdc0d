"""FILE:LINE:COLUMN, the way a terminal names a cursor. Counts from 1, column in characters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fimble_server.document.buffers import Buffer
from fimble_server.document.positions import CharOffset, Position, PositionUnit
from fimble_server.errors import FimbleError

__all__ = ["Target", "cursor_of", "parse_target", "read_source"]

_FORM = "FILE:LINE:COLUMN, such as app.py:12:5"
_MAX_SOURCE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file and a cursor in it: `line` and `column` from 1, the column in characters.

    Column 1 is before the line's first character: in `s = "😀"` column 7 is after the emoji.
    """

    path: Path
    line: int
    column: int


def parse_target(argument: str) -> Target:
    """Read one command-line argument. Raises `FimbleError` where it has another form.

    >>> parse_target("app.py:12:5")
    Target(path=PosixPath('app.py'), line=12, column=5)
    """
    path, _, rest = argument.rpartition(":")
    path, _, line = path.rpartition(":")
    column = rest
    if not path or not line.isdecimal() or not column.isdecimal() or not int(line) * int(column):
        raise FimbleError(
            expected=_FORM,
            found=repr(argument),
            to_do="Line and column count from 1; column 1 is before the first character.",
        )
    return Target(path=Path(path), line=int(line), column=int(column))


def read_source(path: Path) -> str:
    """The text of a source file, line ends as they are. Raises `FimbleError` where it cannot."""
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            raise FimbleError(
                expected=f"a source file of at most {_MAX_SOURCE_BYTES // 2**20} MiB",
                found=f"{path} with {path.stat().st_size // 2**20} MiB",
                to_do="Name a smaller file.",
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FimbleError(
            expected="a readable source file",
            found=f"{path} ({error.strerror or type(error).__name__})",
            to_do="Check the path and its permissions.",
        ) from error
    except UnicodeDecodeError as error:
        raise FimbleError(
            expected="a file in UTF-8",
            found=f"{path} with another byte at {error.start}",
            to_do="Convert it to UTF-8 first.",
        ) from error


def cursor_of(target: Target, buffer: Buffer) -> CharOffset:
    """The cursor as an offset in characters. Raises `FimbleError` where the file ends before it.

    Lines end at LF, CRLF or CR, as in LSP; a form feed does not end one.

    >>> from fimble_server.document.buffers import Buffer
    >>> buffer = Buffer(uri="a", language_id="python", version=0, text="x\\r\\n😀😀\\n")
    >>> cursor_of(Target(path=Path("a.py"), line=2, column=3), buffer)
    5
    """
    if target.line > buffer.n_lines:
        raise FimbleError(
            expected=f"a line from 1 to {buffer.n_lines} of {target.path}",
            found=str(target.line),
            to_do="Name a line that is there.",
        )
    n_columns = len(buffer.line_text(target.line - 1)) + 1
    if target.column > n_columns:
        raise FimbleError(
            expected=f"a column from 1 to {n_columns} in line {target.line} of {target.path}",
            found=str(target.column),
            to_do="Column 1 is before the first character, the last one after the last.",
        )
    return buffer.offset_at(Position(target.line - 1, target.column - 1), PositionUnit.UTF32)
