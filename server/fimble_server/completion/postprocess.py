"""From what the model wrote to what is shown: cut, fit to the right, hold back with a reason.

Owns the order of the steps and the reasons for hiding. Pure; works on pages and leaves
positions in the buffer to the answer's maker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.giving_up import bounded_logprob
from fimble_model.engine.protocol import Finish, FinishReason, GeneratedToken
from fimble_server.completion.answer import Hidden, StepNote
from fimble_server.completion.closing import close_own_blocks
from fimble_server.completion.cutting import Material, cut_middle
from fimble_server.completion.overlap import Fitted, fit_to_right, is_only_closers
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.reindenting import reindent
from fimble_server.completion.stopping import MiddleStop
from fimble_server.completion.sure_beginning import sure_beginning
from fimble_server.completion.worth_a_look import is_deeper_than_it_can_be, is_too_short
from fimble_server.context.secret_strings import find_secret

__all__ = ["HIDINGS", "REWRITES", "Draft", "Drafts", "confidence_of", "process", "process_finish"]

_MIN_TELLING_CHARS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Text for a page's cursor, in place of `n_overwritten_chars` right of it.

    `notes` say what the steps did to what the model wrote.
    """

    text: str
    n_overwritten_chars: int
    confidence: float
    notes: tuple[StepNote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What is left to show, best first as the engine gave it, and what is held back.

    `notes` are the first candidate's, shown or not.
    """

    shown: tuple[Draft, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    notes: tuple[StepNote, ...] = ()


class _Judged(NamedTuple):
    verdict: Draft | Hidden
    notes: tuple[StepNote, ...]


def process(
    finishes: Sequence[Finish], page: Page, plan: Plan, without: Parts = NO_PARTS
) -> Drafts:
    """All candidates of one request, without the steps of these names."""
    shown: list[Draft] = []
    hidden: list[Hidden] = []
    notes: list[tuple[StepNote, ...]] = []
    for finish in finishes:
        done, its_notes = process_finish(finish, page, plan, without)
        notes.append(its_notes)
        if isinstance(done, Draft) and any(done.text == other.text for other in shown):
            done = Hidden(text=done.text, reason="the same as another candidate", step="candidates")
        if isinstance(done, Draft):
            shown.append(done)
        else:
            hidden.append(done)
    return Drafts(shown=tuple(shown), hidden=tuple(hidden), notes=notes[0] if notes else ())


def process_finish(finish: Finish, page: Page, plan: Plan, without: Parts = NO_PARTS) -> _Judged:
    """One candidate: what may be shown of it, or why nothing is, and what was done to it."""
    if finish.reason is FinishReason.FAILED:
        return _Judged(Hidden(text="", reason="the engine failed", step="engine"), ())
    middle = with_line_feeds(finish.text)
    material = Material(page=page, plan=plan, reason=finish.reason)
    kept, notes = cut_middle(middle, material, without)
    whole = _judge(kept, middle, finish.tokens, page, plan, without)
    is_sure = confidence_of(finish.tokens, len(kept)) >= plan.min_confidence
    if (is_sure and finish.reason is not FinishReason.GIVEN_UP) or "sure-beginning" in without:
        return _Judged(whole.verdict, notes + whole.notes)
    # What is kept of a row that was given up is one of its beginnings too.
    is_given_up = finish.reason is FinishReason.GIVEN_UP
    beginning = sure_beginning(
        middle[: len(kept) + 1] if is_given_up else kept,
        finish.tokens,
        min_probability=plan.min_confidence,
        mode=plan.mode,
    )
    part = _judge(beginning, middle, finish.tokens, page, plan, without)
    effect = f"kept the first {len(beginning)} of {len(kept)} characters"
    notes = (*notes, StepNote(step="sure-beginning", effect=effect))
    if isinstance(part.verdict, Draft):
        return _Judged(part.verdict, notes + part.notes)
    if is_sure:
        unsure = Hidden(text=middle, reason="too little of it is sure", step="sure-beginning")
        return _Judged(unsure, notes)
    return _Judged(whole.verdict, notes + whole.notes)


def _judge(
    kept: str,
    middle: str,
    tokens: Sequence[GeneratedToken],
    page: Page,
    plan: Plan,
    without: Parts,
) -> _Judged:
    """The kept beginning of a middle fitted to the page, or the first reason to hide it."""
    if middle.strip() and not kept.strip():
        return _Judged(Hidden(text=middle, reason="nothing of it may stay", step="cuts"), ())
    closed = kept if "close-blocks" in without else _with_blocks_closed(kept, page, plan)
    notes = _notes_of_closing(kept, closed)
    kept = closed
    fitted = Fitted(kept, 0) if "fit-to-right" in without else fit_to_right(kept, page.line_right)
    notes += _notes_of_fit(kept, fitted)
    text = fitted.text
    for name, rewrite in REWRITES.items():
        rewritten = text if name in without else rewrite(text, page)
        if rewritten != text:
            notes = (*notes, StepNote(step=name, effect="changed blanks at the lines' start"))
        text = rewritten
    confidence = confidence_of(tokens, len(fitted.text))
    for name, is_to_hide in HIDINGS.items():
        reason = None if name in without else is_to_hide(text, confidence, page, plan)
        if reason is not None:
            note = StepNote(step=name, effect=f"hid it: {reason}")
            told = "" if name == "secret" else text or middle
            return _Judged(Hidden(text=told, reason=reason, step=name), (*notes, note))
    draft = Draft(text=text, n_overwritten_chars=fitted.n_overwritten_chars, confidence=confidence)
    return _Judged(draft, notes)


def _notes_of_closing(kept: str, closed: str) -> tuple[StepNote, ...]:
    if kept == closed:
        return ()
    return (StepNote(step="close-blocks", effect="closed what the suggestion opens"),)


def _notes_of_fit(kept: str, fitted: Fitted) -> tuple[StepNote, ...]:
    effects = []
    if len(fitted.text) < len(kept):
        effects.append(f"left out {len(kept) - len(fitted.text)} characters that stand there")
    if fitted.n_overwritten_chars:
        effects.append(f"writes over {fitted.n_overwritten_chars} characters")
    return tuple(StepNote(step="fit-to-right", effect=effect) for effect in effects)


def _with_blocks_closed(kept: str, page: Page, plan: Plan) -> str:
    stop = plan.stop
    if not isinstance(stop, MiddleStop):
        return kept
    if not is_only_closers(page.line_right):  # It will stay on the cursor's line.
        kept = kept.partition("\n")[0]
    return close_own_blocks(kept, stop.boundary, page.line_left, plan.max_lines)


def confidence_of(tokens: Sequence[GeneratedToken], n_kept_chars: int) -> float:
    """The probability that all of the kept text is right: the product over its tokens; 0 to 1.

    A token counts when the text before it falls short of what is kept.
    """
    sum_logprobs, n_known_chars = 0.0, 0
    for token in tokens:
        if n_known_chars >= n_kept_chars:
            break
        sum_logprobs += bounded_logprob(token.logprob)
        n_known_chars = token.char_end
    return math.exp(sum_logprobs) if tokens else 0.0


def _without_blank_lines_filled(text: str, page: Page) -> str:
    """Lines of blanks alone become empty ones; the first line has text left of it and stays."""
    del page
    first, *later = text.split("\n")
    return "\n".join([first, *(line if line.strip() else "" for line in later)])


_Reason = Callable[[str, float, Page, Plan], str | None]


def _is_nothing(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    del confidence, page, plan
    return None if text.strip() else "nothing but blanks"


def _holds_secret(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """What stands on the line may be the secret's beginning, its end, or its name.

    A line that holds one already is the user's; another one in the suggestion is not.
    """
    del confidence, plan
    left, right = page.line_left, page.line_right
    if find_secret(left + right) is None:
        text = left + text + right
    secret = find_secret(text)
    return None if secret is None else f"holds {secret}"


def _is_below_already(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """All that the suggestion adds stands on the next lines."""
    del confidence, plan
    if page.line_right.strip():
        return None
    lines = [line.rstrip() for line in (page.line_left + text).split("\n") if line.strip()]
    is_same = lines == [line.rstrip() for line in page.lines_below(len(lines))]
    return "stands on the next lines already" if is_same else None


def _is_unwritten_body(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """A body that was to be written is only closed, or its docstring only begun."""
    del confidence, page
    is_asked = plan.mode is not Mode.EXPLORATION or plan.rule == "invoked"
    return None if is_asked or not is_only_closers(text) else "closes a body without writing it"


def _is_line_above(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """Nothing but the line above once more, where the user began no such line."""
    del confidence, plan
    above = page.line_above()
    if above is None or page.line_left.strip() or page.line_right.strip():
        return None
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    is_telling = sum(sign.isalnum() for sign in above) >= _MIN_TELLING_CHARS
    is_same = is_telling and all(line == above.strip() for line in lines)
    return "repeats the line above" if is_same else None


def _is_unsure(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    del text, page
    if confidence >= plan.min_confidence:
        return None
    return f"not confident ({confidence:.2f} < {plan.min_confidence:.2f})"


HIDINGS: dict[str, _Reason] = {
    "nothing": _is_nothing,
    "secret": _holds_secret,
    "unwritten-body": _is_unwritten_body,
    "below-already": _is_below_already,
    "line-above": _is_line_above,
    "too-deep": is_deeper_than_it_can_be,
    "too-short": is_too_short,
    "confidence": _is_unsure,
}
REWRITES: dict[str, Callable[[str, Page], str]] = {
    "blank-lines": _without_blank_lines_filled,
    "indentation": reindent,
}
