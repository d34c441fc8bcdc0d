"""From what the model wrote to what is shown: cut, fit to the right, hold back with a reason.

Owns the order of the steps and the reasons for hiding. Pure; works on pages and leaves
positions in the buffer to the answer's maker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fimble_model.engine.giving_up import bounded_logprob
from fimble_model.engine.protocol import Finish, FinishReason, GeneratedToken
from fimble_server.completion.answer import Hidden
from fimble_server.completion.closing import close_own_blocks
from fimble_server.completion.cutting import Material, cut_middle
from fimble_server.completion.overlap import Fitted, fit_to_right, is_only_closers
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.stopping import MiddleStop
from fimble_server.completion.sure_beginning import sure_beginning
from fimble_server.context.secret_strings import find_secret

__all__ = ["HIDINGS", "Draft", "Drafts", "confidence_of", "process", "process_finish"]

_MIN_TELLING_CHARS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Text for a page's cursor, in place of `n_overwritten_chars` right of it."""

    text: str
    n_overwritten_chars: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What is left to show, best first as the engine gave it, and what is held back."""

    shown: tuple[Draft, ...] = ()
    hidden: tuple[Hidden, ...] = ()


def process(
    finishes: Sequence[Finish], page: Page, plan: Plan, without: Parts = NO_PARTS
) -> Drafts:
    """All candidates of one request, without the steps of these names."""
    shown: list[Draft] = []
    hidden: list[Hidden] = []
    for finish in finishes:
        done = process_finish(finish, page, plan, without)
        if isinstance(done, Draft) and any(done.text == other.text for other in shown):
            done = Hidden(text=done.text, reason="the same as another candidate")
        if isinstance(done, Draft):
            shown.append(done)
        else:
            hidden.append(done)
    return Drafts(shown=tuple(shown), hidden=tuple(hidden))


def process_finish(
    finish: Finish, page: Page, plan: Plan, without: Parts = NO_PARTS
) -> Draft | Hidden:
    """One candidate: what may be shown of it, or why nothing is."""
    if finish.reason is FinishReason.FAILED:
        return Hidden(text="", reason="the engine failed")
    middle = with_line_feeds(finish.text)
    kept = cut_middle(middle, Material(page=page, plan=plan, reason=finish.reason), without)
    whole = _judge(kept, middle, finish.tokens, page, plan, without)
    is_sure = confidence_of(finish.tokens, len(kept)) >= plan.min_confidence
    if (is_sure and finish.reason is not FinishReason.GIVEN_UP) or "sure-beginning" in without:
        return whole
    beginning = sure_beginning(
        kept, finish.tokens, min_probability=plan.min_confidence, mode=plan.mode
    )
    part = _judge(beginning, middle, finish.tokens, page, plan, without)
    if isinstance(part, Hidden) and is_sure:
        return Hidden(text=middle, reason="too little of it is sure")
    return part if isinstance(part, Draft) else whole


def _judge(
    kept: str,
    middle: str,
    tokens: Sequence[GeneratedToken],
    page: Page,
    plan: Plan,
    without: Parts,
) -> Draft | Hidden:
    """The kept beginning of a middle fitted to the page, or the first reason to hide it."""
    if middle.strip() and not kept.strip():
        return Hidden(text=middle, reason="nothing of it may stay")
    if "close-blocks" not in without:
        kept = _with_blocks_closed(kept, page, plan)
    fitted = Fitted(kept, 0) if "fit-to-right" in without else fit_to_right(kept, page.line_right)
    text = _without_blank_lines_filled(fitted.text)
    confidence = confidence_of(tokens, len(fitted.text))
    for name, is_to_hide in HIDINGS.items():
        reason = is_to_hide(text, confidence, page, plan)
        if reason is not None and name not in without:
            return Hidden(text=text or middle, reason=reason)
    return Draft(text=text, n_overwritten_chars=fitted.n_overwritten_chars, confidence=confidence)


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


def _without_blank_lines_filled(text: str) -> str:
    """Lines of blanks alone become empty ones; the first line has text left of it and stays."""
    first, *later = text.split("\n")
    return "\n".join([first, *(line if line.strip() else "" for line in later)])


_Reason = Callable[[str, float, Page, Plan], str | None]


def _is_nothing(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    del confidence, page, plan
    return None if text.strip() else "nothing but blanks"


def _holds_secret(text: str, confidence: float, page: Page, plan: Plan) -> str | None:
    """What is typed of the line may be the secret's beginning, or its name."""
    del confidence, plan
    secret = find_secret(page.line_left + text)
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
    "confidence": _is_unsure,
}
