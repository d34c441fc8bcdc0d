"""What the completer answers: suggestions, what was hidden and why, and what it cost.

Owns plain values only. Positions are character offsets into the snapshot's text; the LSP
wing turns them into lines and UTF-16 units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble_model.engine.protocol import ModelInfo
from fimble_server.completion.left_out import LeftOut
from fimble_server.completion.plan import Plan

__all__ = ["Answer", "ContextPiece", "Hidden", "StepNote", "Suggestion", "Timing", "TokenCounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Text that may replace `[start, end)` of the buffer; the cursor lies in that range.

    `text` accounts for everything in the range: inserted there it duplicates nothing.
    In `a = "😀<|>"` with the cursor at character 6, a suggestion that also writes the closing
    quote has start 6 and end 7. `confidence` is from 0 to 1.
    """

    suggestion_id: str
    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Text that was generated and not shown, the reason in a few plain words, and whose it is.

    `step` names the part that hid it.
    """

    text: str
    reason: str
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNote:
    """What a step of post-processing did to the first candidate, in a few plain words."""

    step: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """`prompt` tokens in all, of which `reused` were in the KV cache; `generated` after them.

    Of these `accepted` were among the `drafted` ones, which were computed on speculation.
    """

    prompt: int = 0
    reused: int = 0
    generated: int = 0
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the milliseconds of one request went."""

    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPiece:
    """One piece of text that the model had: where from, and what it cost in the prompt.

    Of the file at the cursor `left_out` is what the prompt had no room for; other pieces are whole.
    What `is_remembered` stands in no prompt and costs none: it was there to be copied from.
    """

    source: str
    path: str
    n_tokens: int
    left_out: LeftOut = field(default_factory=LeftOut)
    is_remembered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The one answer to one request. No suggestions is an answer too: `hidden` says why.

    `source` is "model", "reuse" (typed along a suggestion that was already there), "stream"
    (typed along one that was being written), "ahead" (made before it was asked for) or "none".
    `steps` says what was done to what the model wrote.
    """

    plan: Plan
    suggestions: tuple[Suggestion, ...]
    hidden: tuple[Hidden, ...]
    source: str
    tokens: TokenCounts
    timing: Timing
    model: ModelInfo | None
    context: tuple[ContextPiece, ...] = ()
    steps: tuple[StepNote, ...] = ()
