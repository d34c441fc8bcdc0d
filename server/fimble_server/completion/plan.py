"""What a completion is allowed to be: its mode, its size, where it must stop.

Owns the values that the mode decision produces and the rest of the path obeys. Knows nothing
of syntax trees, models or editors.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fimble_model.engine.protocol import StopRule

__all__ = ["Limits", "Mode", "Plan", "Trigger"]


class Mode(enum.Enum):
    """Acceleration: the programmer knows what comes next. Exploration: looks for a way."""

    ACCELERATION = "acceleration"
    EXPLORATION = "exploration"


class Trigger(enum.Enum):
    """How the request came about: by typing, or because the user asked."""

    AUTOMATIC = "automatic"
    INVOKED = "invoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The user's dials, as far as they bound a plan.

    `eagerness` from 0 (only when nearly certain) to 1 (always something). `max_*_tokens` bound
    what is decoded; `max_*_lines` what is shown; deadlines are counted from the request.
    """

    eagerness: float = 0.5
    max_acceleration_lines: int = 4
    max_acceleration_tokens: int = 64
    acceleration_deadline_ms: float = 400.0
    max_exploration_lines: int = 30
    max_exploration_tokens: int = 256
    exploration_deadline_ms: float = 3000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One request's decision. `rule` names the rule that fired, for `--explain`.

    `wanted` is False where nothing should be shown here (then the rest is not acted upon).
    `stop` is checked after every token inside the decode loop. `min_confidence` is the least
    geometric mean of the kept tokens' probabilities, from 0 to 1.
    """

    mode: Mode
    rule: str
    wanted: bool
    max_lines: int
    max_new_tokens: int
    stop: StopRule
    n_candidates: int
    deadline_ms: float
    min_confidence: float
