"""The server's share of the errors that are the user's to mend.

Owns `SettingsError`; hands on the rest of the tree from the model. Messages never hold text
from the user's buffers. A setting's value is not such text and may be shown.
"""

from fimble_model.errors import (
    CheckpointError,
    DeviceError,
    EndpointError,
    FimbleError,
    RequestError,
)

__all__ = [
    "CheckpointError",
    "DeviceError",
    "EndpointError",
    "FimbleError",
    "RequestError",
    "SettingsError",
]


class SettingsError(FimbleError):
    """A setting that is refused: by its path, and by the place it was read from.

    >>> str(SettingsError(path="completion.eagernes", source="the editor's settings",
    ...     expected="a known setting", found="an unknown one",
    ...     to_do="Did you mean completion.eagerness?"))
    "completion.eagernes in the editor's settings: expected a known setting; found an unknown one. \
Did you mean completion.eagerness?"
    """

    def __init__(self, *, path: str, source: str, expected: str, found: str, to_do: str) -> None:
        super().__init__(expected=expected, found=found, to_do=to_do)
        self.path = path
        self.source = source

    def __str__(self) -> str:
        """One line: the setting, where it was read, and what is wrong with it."""
        where = f"{self.path} in {self.source}" if self.path else self.source
        return f"{where}: expected {self.expected}; found {self.found}. {self.to_do}"
