"""Where a user has silenced Fimble for now: in a file, a language, or everywhere in a session.

Owns an immutable table and what an editor may say about it. Pure: times are handed in. What the
settings silence for good is not in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from pygls.exceptions import JsonRpcInvalidParams

__all__ = ["SilenceRequest", "Silences", "silence_request_from_lsp"]

_SCOPES = ("file", "language", "session")
_MS_PER_MINUTE = 60_000.0
_MOST_MINUTES = 7 * 24 * 60.0
_SESSION = ("session", "")

Scope = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRequest:
    """What to silence, and for how many minutes; None until it is lifted.

    `is_shared` where it is meant for all clients of this process.
    """

    scope: Scope
    minutes: float | None
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silences:
    """Scopes that are silent, each with the time when that ends (`inf` where it does not)."""

    until_ms: Mapping[Scope, float] = field(default_factory=lambda: MappingProxyType({}))

    def with_silence(self, request: SilenceRequest, now_ms: float) -> Silences:
        """The table with one more scope; the newest word on a scope counts."""
        minutes = request.minutes
        until_ms = math.inf if minutes is None else now_ms + minutes * _MS_PER_MINUTE
        return self._replaced({**self.until_ms, request.scope: until_ms})

    def without(self, scope: Scope) -> Silences:
        """The table without a scope. Lifting the session's silence lifts all of them."""
        if scope == _SESSION:
            return self._replaced({})
        return self._replaced({key: end for key, end in self.until_ms.items() if key != scope})

    def joined(self, other: Silences) -> Silences:
        """What either silences, for as long as one of them does."""
        scopes = {**self.until_ms, **other.until_ms}
        never = -math.inf
        return self._replaced(
            {
                scope: max(self.until_ms.get(scope, never), other.until_ms.get(scope, never))
                for scope in scopes
            }
        )

    def is_silent(self, scope: Scope, now_ms: float) -> bool:
        """True while a scope itself is silent."""
        return self.until_ms.get(scope, -math.inf) > now_ms

    def reason(self, *, uri: str, language_id: str, now_ms: float) -> str | None:
        """Why a file is silent, in words for its user; None where it is not."""
        for scope, name in (
            (_SESSION, "Fimble is"),
            (("language", language_id), f"{language_id} is"),
            (("file", unquote(uri)), "this file is"),
        ):
            if self.is_silent(scope, now_ms):
                return f"{name} {_words(self.until_ms[scope], now_ms)}"
        return None

    def session_reason(self, now_ms: float) -> str | None:
        """Why the whole session is silent; None where it is not."""
        is_silent = self.is_silent(_SESSION, now_ms)
        return f"Fimble is {_words(self.until_ms[_SESSION], now_ms)}." if is_silent else None

    def to_lsp(self, now_ms: float) -> list[dict[str, object]]:
        """What is silent now, for `fimble/status`: scope, name, seconds left (null: no end)."""
        return [
            {
                "scope": scope,
                "name": name,
                "seconds_left": None if math.isinf(end) else round((end - now_ms) / 1000),
            }
            for (scope, name), end in self.until_ms.items()
            if end > now_ms
        ]

    def _replaced(self, until_ms: dict[Scope, float]) -> Silences:
        return dataclasses.replace(self, until_ms=MappingProxyType(until_ms))


def _words(until_ms: float, now_ms: float) -> str:
    if math.isinf(until_ms):
        return "switched off"
    return f"snoozed for {max(1, math.ceil((until_ms - now_ms) / _MS_PER_MINUTE))} more minutes"


def silence_request_from_lsp(arguments: object) -> SilenceRequest:
    """One argument `{scope, uri?, languageId?, minutes?, shared?}` of a command.

    None at all: the session.

    Raises `JsonRpcInvalidParams` where a file has no URI, a language no id, or minutes no sense.
    """
    match arguments:
        case [] | ():
            return SilenceRequest(scope=_SESSION, minutes=None)
        case [Mapping() as argument]:
            is_shared = argument.get("shared", False)
            if not isinstance(is_shared, bool):
                raise JsonRpcInvalidParams
            return SilenceRequest(
                scope=_scope_of(argument), minutes=_minutes_of(argument), is_shared=is_shared
            )
        case _:
            raise JsonRpcInvalidParams


def _scope_of(argument: Mapping[str, object]) -> Scope:
    scope = argument.get("scope", "session")
    name = argument.get({"file": "uri", "language": "languageId"}.get(str(scope), ""), "")
    if scope not in _SCOPES or not isinstance(name, str) or (scope != "session" and not name):
        raise JsonRpcInvalidParams
    return str(scope), unquote(name)


def _minutes_of(argument: Mapping[str, object]) -> float | None:
    minutes = argument.get("minutes")
    if minutes is None:
        return None
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not is_number or not 0 < minutes <= _MOST_MINUTES:  # type: ignore[operator]  # a number
        raise JsonRpcInvalidParams
    return float(minutes)  # type: ignore[arg-type]  # a number
