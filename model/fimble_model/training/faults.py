"""The errors of the workshop that the user can mend.

Owns their type only; the message is built as in `fimble_model.errors`.
"""

from fimble_model.errors import FimbleError

__all__ = ["LicenceError", "TrainingError"]


class TrainingError(FimbleError):
    """A stage that cannot run: an input is missing, broken or of another kind."""


class LicenceError(TrainingError):
    """A package whose licence does not let us learn from it."""
