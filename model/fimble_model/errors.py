"""The errors that are the user's to mend, and how their messages are built.

A message always says what was expected, what was found, and what to do. It never holds
text from the user's buffers. Our own mistakes are assertions, not members of this tree.
"""

__all__ = [
    "CheckpointError",
    "DeviceError",
    "EndpointError",
    "FimbleError",
    "HubError",
    "RequestError",
    "UnsupportedError",
]


class FimbleError(Exception):
    """Something the user can mend: three short sentences say how.

    >>> str(FimbleError(expected="a folder", found="a file", to_do="Name the folder."))
    'Expected a folder; found a file. Name the folder.'
    """

    def __init__(self, *, expected: str, found: str, to_do: str) -> None:
        super().__init__(f"Expected {expected}; found {found}. {to_do}")
        self.expected = expected
        self.found = found
        self.to_do = to_do


class CheckpointError(FimbleError):
    """A model folder that cannot be loaded."""


class UnsupportedError(CheckpointError):
    """A checkpoint that may well be sound, but of a kind that our own network is not."""


class DeviceError(FimbleError):
    """A device, dtype or thread count that this machine does not have."""


class EndpointError(FimbleError):
    """A completions server that cannot be used as it answers, or does not answer."""


class HubError(FimbleError):
    """A model that could not be fetched."""


class RequestError(FimbleError):
    """A generation request that the engine refuses before it takes it in."""
