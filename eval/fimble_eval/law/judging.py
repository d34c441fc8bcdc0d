"""What is shown at a spot, and what is wrong with it.

Owns the path from a spot to faults in words. No model runs: the spot says what one writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fimble_eval.law.block_ends import n_unpaired, parses_worse
from fimble_eval.law.spots import Spot, spots_at
from fimble_model.engine.protocol import Finish, FinishReason, GeneratedToken, TokenId
from fimble_server.completion.mode import decide
from fimble_server.completion.page import Page
from fimble_server.completion.parts import NO_PARTS, Parts
from fimble_server.completion.plan import Limits, Plan, Trigger, plan_completion
from fimble_server.completion.postprocess import Draft, process_finish
from fimble_server.completion.signals import Signals
from fimble_server.document.language import Language
from fimble_server.document.syntax import Parsed, SyntaxFacts, inspect, parse

__all__ = ["Judge"]

_WORD = re.compile(r"\w+")


class Judge:
    """Judges cursors of one file. What was parsed for a spot serves the next ones like it."""

    def __init__(self, language: Language, text: str, without: Parts = NO_PARTS) -> None:
        self._language = language
        self._without = without
        self._parsed = parse(language, text)
        self._facts: tuple[str, int, Parsed, SyntaxFacts] | None = None
        self._results: dict[tuple[str, str, int], bool] = {}

    def judge_at(self, cursor: int) -> tuple[int, list[str]]:
        """How often the cursor was asked, typing and invoked, and what is wrong, in words."""
        n_asked, faults = 0, []
        for spot in spots_at(self._parsed, cursor):
            for trigger in Trigger:
                n_asked += 1
                faults += self._faults_of(spot, trigger)
        return n_asked, faults

    def _before(self, spot: Spot) -> tuple[Parsed, SyntaxFacts]:
        text, cursor = spot.text, len(spot.left)
        if self._facts is None or self._facts[:2] != (text, cursor):
            parsed = parse(self._language, text)
            self._facts = (text, cursor, parsed, inspect(parsed, cursor))
            self._results.clear()
        return self._facts[2:]

    def _faults_of(self, spot: Spot, trigger: Trigger) -> list[str]:
        before, facts = self._before(spot)
        plan = plan_completion(decide(Signals(facts=facts, trigger=trigger)), facts, Limits())
        draft = _shown_at(spot, plan, self._without) if plan.wanted else None
        if draft is None:
            return []
        faults = list(_words_too_far(spot, draft, self._language))
        if not spot.is_class and self._is_worse(spot, draft, before):
            faults.append("parses worse")
        window = f"{spot.left[-160:]}<|>[[{draft.text}]]{spot.right[:80]}"
        return [f"{trigger.value}: {fault}: {spot.kind}: {window}" for fault in faults]

    def _is_worse(self, spot: Spot, draft: Draft, before: Parsed) -> bool:
        is_begun = bool(spot.left.rpartition("\n")[2].strip()) and "\n" not in draft.text
        right = spot.right[draft.n_overwritten_chars :]
        key = (draft.text, right[:40], len(right))
        if key not in self._results:
            after = parse(self._language, spot.left + draft.text + right)
            if spot.is_cut_short:  # A header without its body is no better for a word more.
                is_worse = n_unpaired(after) > n_unpaired(before)
            else:
                is_worse = parses_worse(before, after, is_begun=is_begun)
            self._results[key] = is_worse
        return self._results[key]


def _shown_at(spot: Spot, plan: Plan, without: Parts) -> Draft | None:
    """What is shown of a middle that knows what follows, and does not know where to stop."""
    middle, cursor = spot.rest + spot.after, len(spot.left)
    cut = None if "stop-rule" in without else plan.stop.n_chars_to_keep(middle)
    kept = middle if cut is None else middle[:cut]
    finish = Finish(
        reason=FinishReason.END_TOKEN if cut is None else FinishReason.STOP_RULE,
        text=kept,
        tokens=(GeneratedToken(token_id=TokenId(0), logprob=0.0, char_end=len(kept)),),
        n_prompt_tokens=1,
        n_reused_tokens=0,
        queue_ms=0.0,
        prefill_ms=0.0,
        decode_ms=0.0,
    )
    page = Page(text=spot.text, cursor=cursor, buffer_start=cursor, buffer_cursor=cursor)
    done = process_finish(finish, page, plan, without).verdict
    return done if isinstance(done, Draft) else None


def _words_too_far(spot: Spot, draft: Draft, language: Language) -> Iterator[str]:
    further = draft.text[len(spot.rest) :].strip()
    if spot.is_cut_short:
        if language.clauses & set(_WORD.findall(draft.text)):
            yield "sibling written"
        return
    if not further or draft.text.rstrip() == spot.rest.rstrip():
        return
    if draft.n_overwritten_chars == 0 or not spot.right.lstrip().startswith(further):
        yield "beyond the block"
