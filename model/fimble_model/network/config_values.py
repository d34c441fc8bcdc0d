"""Reading single entries of a config.json: each is of its type, or a clear error.

Owns those readers and errors. Knows no family and no entry's meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

from fimble_model.errors import CheckpointError, UnsupportedError

__all__ = [
    "Values",
    "malformed",
    "read_count",
    "read_flag",
    "read_number",
    "read_optional_count",
    "read_word",
    "unsupported",
]

Values = Mapping[str, object]


def read_count(values: Values, name: str, default: int | None = None) -> int:
    """A whole number; `default` where there is none, which None does not allow."""
    found = values.get(name)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int):
        raise malformed(name, "a whole number", found)
    return found


def read_optional_count(values: Values, name: str) -> int | None:
    """A whole number, or None where there is none."""
    return None if values.get(name) is None else read_count(values, name)


def read_number(values: Values, name: str, default: float | None = None) -> float:
    """A number; `default` where there is none, which None does not allow."""
    found = values.get(name)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise malformed(name, "a number", found)
    return float(found)


def read_flag(values: Values, name: str, *, default: bool = False) -> bool:
    """True or false."""
    found = values.get(name)
    if found is None:
        return default
    if not isinstance(found, bool):
        raise malformed(name, "true or false", found)
    return found


def read_word(values: Values, name: str, default: str) -> str:
    """A string."""
    found = values.get(name)
    if found is None:
        return default
    if not isinstance(found, str):
        raise malformed(name, "a string", found)
    return found


def malformed(name: str, expected: str, found: object) -> CheckpointError:
    """The error for an entry of another type."""
    return CheckpointError(
        expected=f"{name} in config.json to be {expected}",
        found="nothing" if found is None else f"{found!r:.40}",
        to_do="The config.json is damaged; fetch or export the model again.",
    )


def unsupported(expected: str, found: str) -> UnsupportedError:
    """The error for what the network cannot do."""
    return UnsupportedError(
        expected=expected,
        found=found,
        to_do="Fimble does not run this kind of checkpoint yet; choose another model.",
    )
