"""What a completion is allowed to be: its mode, its size, where it must stop.

Owns the plan that the mode decision becomes and the rest of the path obeys. Knows nothing of
models or editors.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimble_model.engine.protocol import StopRule
from fimble_server.completion.stopping import Extent, build_stop
from fimble_server.document.syntax import SyntaxFacts

if TYPE_CHECKING:  # The mode decision names its Mode from here.
    from fimble_server.completion.mode import Decision

__all__ = ["Length", "Limits", "Mode", "Plan", "Trigger", "plan_completion"]


class Mode(enum.Enum):
    """Acceleration: the programmer knows what comes next. Exploration: looks for a way."""

    ACCELERATION = "acceleration"
    EXPLORATION = "exploration"


class Trigger(enum.Enum):
    """How the request came about: by typing, or because the user asked."""

    AUTOMATIC = "automatic"
    INVOKED = "invoked"


class Length(enum.Enum):
    """The most a suggestion may be: the line, some lines of the block, or a function's body."""

    LINE = "line"
    BLOCK = "block"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The user's dials, as far as they bound a plan.

    `eagerness` from 0 (only when nearly certain) to 1 (always something). `max_*_tokens` bound
    what is decoded; `max_*_lines` what is shown; deadlines are counted from the request.
    `length` bounds the lines of both modes: one, as many as while accelerating, or all.
    """

    eagerness: float = 0.5
    length: Length = Length.FUNCTION
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
    probability, from 0 to 1, that all of the shown text is right.
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


def plan_completion(
    decision: Decision, facts: SyntaxFacts, limits: Limits, n_candidates: int = 1
) -> Plan:
    """Turn a decision into what the rest of the path obeys.

    Several candidates are for exploration only: who accelerates reads one. What was asked for
    is shown whatever its confidence.
    """
    is_exploration = decision.mode is Mode.EXPLORATION
    max_lines = _max_lines(decision, limits)
    stop = build_stop(
        facts, _extent(decision, facts, limits), max_lines, includes_closer=is_exploration
    )
    deadline_ms = (
        limits.exploration_deadline_ms if is_exploration else limits.acceleration_deadline_ms
    )
    return Plan(
        mode=decision.mode,
        rule=decision.rule,
        wanted=decision.wanted,
        max_lines=max_lines,
        max_new_tokens=_max_new_tokens(decision, limits),
        stop=stop,
        n_candidates=max(1, n_candidates) if is_exploration else 1,
        deadline_ms=decision.deadline_share * deadline_ms,
        min_confidence=_min_confidence(decision, limits.eagerness),
    )


def _max_lines(decision: Decision, limits: Limits) -> int:
    if limits.length is Length.LINE:
        return 1
    is_long = decision.mode is Mode.EXPLORATION and limits.length is Length.FUNCTION
    return limits.max_exploration_lines if is_long else limits.max_acceleration_lines


def _max_new_tokens(decision: Decision, limits: Limits) -> int:
    is_long = decision.mode is Mode.EXPLORATION and limits.length is Length.FUNCTION
    return limits.max_exploration_tokens if is_long else limits.max_acceleration_tokens


def _extent(decision: Decision, facts: SyntaxFacts, limits: Limits) -> Extent:
    """A single line ends with the line, unless the cursor's has just opened the block."""
    is_line = limits.length is Length.LINE and not facts.block.is_opened_here
    return Extent.LINE if is_line else decision.extent


def _min_confidence(decision: Decision, eagerness: float) -> float:
    if decision.rule == "invoked":
        return 0.0
    # Measured for acceleration: at 250 cursors of held-out files a threshold of 0.3 kept the most
    # characters, with 64 % of what was shown right; 0.2 gave 54 %, 0.4 gave 71 %. A whole body is
    # longer and less sure as a whole; how much less is guessed.
    most = 0.2 if decision.mode is Mode.EXPLORATION else 0.6
    return min(1.0, decision.caution * most * (1.0 - min(1.0, max(0.0, eagerness))))
