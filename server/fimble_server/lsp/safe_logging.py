"""The log: to standard error, without a word of the user's text.

Owns the process's logging set-up and the formatter that is the last wall: exceptions are
written as their type and place, and records of libraries as their template without values,
because both may quote a buffer. A `FimbleError` never quotes one, so its message stays.
"""

from __future__ import annotations

import copy
import logging
import traceback
from types import TracebackType

from fimble_server.errors import FimbleError

__all__ = ["SafeFormatter", "describe_safely", "set_level", "start_logging"]

_OUR_LOGGERS = ("fimble_server", "fimble_model", "fimble_eval")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_MAX_FRAMES = 20

_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class SafeFormatter(logging.Formatter):
    """Formats records so that what a library or an exception quotes is left out."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line, and the place of its exception as more."""
        record = copy.copy(record)
        record.exc_text = None
        if not record.name.startswith(_OUR_LOGGERS):
            record.msg, record.args = str(record.msg).partition("\n")[0], None
        return super().format(record)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - the name is logging's
        """Type and place only."""
        return describe_safely(ei[1]) if ei[1] is not None else ""


def describe_safely(error: BaseException) -> str:
    """An exception's type and where it was raised, without its message or any value.

    >>> describe_safely(ValueError("password = 'hunter2'"))
    'ValueError'
    """
    words = f": {error}" if isinstance(error, FimbleError) else ""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    places = (f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return f"{type(error).__name__}{words}{''.join(places)}"


def start_logging(level_name: str) -> None:
    """Send every record to standard error through the safe formatter. Called once a process.

    NOTE: pygls writes every message out at INFO, buffers included, so libraries stay at WARNING
    whatever the level of ours is.
    """
    stream = logging.StreamHandler()
    stream.setFormatter(SafeFormatter(_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.WARNING)
    set_level(level_name)


def set_level(level_name: str) -> None:
    """Change how much of our own is logged."""
    for name in _OUR_LOGGERS:
        logging.getLogger(name).setLevel(level_name.upper())
