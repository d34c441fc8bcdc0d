"""The path of one request: reuse, mode, prompt, engine, post-processing, answer.

Owns what is remembered of each buffer between requests. Never tokenizes, reads a disk or knows
LSP: what is slow is done where the engine runs.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field

from fimble_model.engine.protocol import Clock, Finish, FinishReason, ModelInfo, Request, TextCodec
from fimble_server.completion.answer import (
    Answer,
    ContextPiece,
    Hidden,
    Suggestion,
    Timing,
    TokenCounts,
)
from fimble_server.completion.engine_port import EnginePort, Generation, Job
from fimble_server.completion.mode import decide
from fimble_server.completion.page import Page, page_of
from fimble_server.completion.parts import Parts
from fimble_server.completion.plan import Limits, Plan, plan_completion
from fimble_server.completion.postprocess import Draft, process
from fimble_server.completion.project_texts import ProjectTexts, gather_texts
from fimble_server.completion.prompt import (
    PromptLayout,
    build_requests,
    lay_out,
    plan_budget,
)
from fimble_server.completion.reuse import Remembered, remember, try_reuse
from fimble_server.completion.signals import gather_signals
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.languages import language_for_id
from fimble_server.document.syntax import Parsed, inspect, parse

__all__ = ["Completer"]

# Guessed: more buffers than anyone types in at a time.
_MAX_OWNERS = 32
_MAX_REMEMBERED = 4

_NO_PARTS: Parts = frozenset()


@dataclass(slots=True)
class _PromptDesk:
    """The last layout of one owner. Read and written where the engine runs, and only there."""

    layout: PromptLayout | None = None


@dataclass(slots=True, kw_only=True)
class _Owner:
    """What is remembered of one buffer of one client. `number` is its newest request's."""

    number: int = 0
    parsed: Parsed | None = None
    desk: _PromptDesk = field(default_factory=_PromptDesk)
    remembered: tuple[Remembered, ...] = ()
    limits: Limits | None = None


class Completer:
    """Answers snapshots. Called on one event loop only.

    Keeps the invariant that an owner's memory only ever saves work: with it forgotten, every
    request gets an answer from the model that is as true to the text.
    """

    def __init__(self, *, port: EnginePort, clock: Clock, without: Parts = _NO_PARTS) -> None:
        self._port = port
        self._without = without
        self._clock = clock
        self._owners: OrderedDict[str, _Owner] = OrderedDict()
        self._numbers = itertools.count(1)
        self._suggestion_numbers = itertools.count(1)

    async def complete(self, snapshot: Snapshot, limits: Limits) -> Answer | None:
        """The answer to one request; None when a newer one of its owner replaced it.

        Raises `FimbleError` where the model could not be loaded or refused the request.
        """
        started_ms = self._clock.now_ms()
        owner = self._owner_of(snapshot, limits)
        owner.number = number = next(self._numbers)
        page = page_of(snapshot)
        remembered = () if "reuse" in self._without else owner.remembered
        answer = try_reuse(remembered, page, snapshot)
        if answer is None:
            answer = await self._ask(snapshot, limits, page, owner)
        if answer is None or owner.number != number:
            return None
        total_ms = self._clock.now_ms() - started_ms
        return dataclasses.replace(
            answer, timing=dataclasses.replace(answer.timing, total_ms=total_ms)
        )

    def forget(self, owner: str) -> None:
        """A buffer was closed."""
        self._owners.pop(owner, None)

    def _owner_of(self, snapshot: Snapshot, limits: Limits) -> _Owner:
        owner = self._owners.setdefault(snapshot.owner, _Owner())
        self._owners.move_to_end(snapshot.owner)
        while len(self._owners) > _MAX_OWNERS:
            self._owners.popitem(last=False)
        if owner.limits != limits:
            owner.limits, owner.remembered = limits, ()
        return owner

    async def _ask(
        self, snapshot: Snapshot, limits: Limits, page: Page, owner: _Owner
    ) -> Answer | None:
        plan = self._plan(snapshot, limits, page, owner)
        if not plan.wanted:
            return _empty_answer(plan, self._port.model)
        texts = gather_texts(snapshot, page)
        job = _job_for(snapshot, page, plan, owner.desk, texts)
        generation = await self._port.generate(job)
        if generation is None:
            return None
        answer = self._answer_of(generation, snapshot, page, plan)
        if _is_worth_remembering(answer, generation):
            entry = remember(answer, page, snapshot)
            owner.remembered = (entry, *owner.remembered)[:_MAX_REMEMBERED]
        return answer

    def _plan(self, snapshot: Snapshot, limits: Limits, page: Page, owner: _Owner) -> Plan:
        language = language_for_id(snapshot.buffer.language_id)
        owner.parsed = parse(language, page.text, owner.parsed)
        facts = inspect(owner.parsed, page.cursor)
        signals = gather_signals(
            facts,
            trigger=snapshot.trigger,
            history=snapshot.history,
            cursor=snapshot.cursor,
            now_ms=self._clock.now_ms(),
            has_selection=bool(page.selected),
        )
        return plan_completion(decide(signals), facts, limits, snapshot.n_candidates)

    def _answer_of(
        self, generation: Generation, snapshot: Snapshot, page: Page, plan: Plan
    ) -> Answer:
        drafts = process(generation.finishes, page, plan, self._without)
        tokens = _count_tokens(generation.finishes)
        return Answer(
            plan=plan,
            suggestions=tuple(self._suggestion_of(draft, page) for draft in drafts.shown),
            hidden=drafts.hidden,
            source="model",
            tokens=tokens,
            timing=_time_of(generation.finishes),
            model=generation.model,
            context=(ContextPiece(source="buffer", path=snapshot.path, n_tokens=tokens.prompt),),
        )

    def _suggestion_of(self, draft: Draft, page: Page) -> Suggestion:
        """The draft in the buffer's own offsets and line ends."""
        return Suggestion(
            suggestion_id=f"s{next(self._suggestion_numbers)}",
            text=(page.selected + draft.text).replace("\n", page.line_break),
            start=page.buffer_start,
            end=page.buffer_cursor + draft.n_overwritten_chars,
            confidence=draft.confidence,
        )


def _job_for(
    snapshot: Snapshot, page: Page, plan: Plan, desk: _PromptDesk, texts: ProjectTexts | None
) -> Job:
    scope = None if texts is None else texts.scope

    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        budget = plan_budget(model, plan)
        laid_out = lay_out(page, desk.layout, budget, codec)
        desk.layout = laid_out.layout
        return build_requests(laid_out, plan, budget, scope)

    return Job(
        owner=snapshot.owner,
        client=snapshot.client,
        build=build,
        deadline_ms=plan.deadline_ms,
        texts=texts,
    )


def _empty_answer(plan: Plan, model: ModelInfo | None) -> Answer:
    return Answer(
        plan=plan,
        suggestions=(),
        hidden=(Hidden(text="", reason=f"not wanted here ({plan.rule})"),),
        source="none",
        tokens=TokenCounts(),
        timing=Timing(),
        model=model,
    )


def _is_worth_remembering(answer: Answer, generation: Generation) -> bool:
    """An empty answer counts only where the model ended by itself: it may do better next time."""
    if answer.suggestions:
        return True
    lame = (FinishReason.FAILED, FinishReason.CANCELLED, FinishReason.DEADLINE)
    return all(finish.reason not in lame for finish in generation.finishes)


def _count_tokens(finishes: tuple[Finish, ...]) -> TokenCounts:
    """The prompt counts once: candidates share it."""
    if not finishes:
        return TokenCounts()
    return TokenCounts(
        prompt=finishes[0].n_prompt_tokens,
        reused=finishes[0].n_reused_tokens,
        generated=sum(len(finish.tokens) for finish in finishes),
        drafted=sum(finish.n_drafted_tokens for finish in finishes),
        accepted=sum(finish.n_accepted_tokens for finish in finishes),
    )


def _time_of(finishes: tuple[Finish, ...]) -> Timing:
    """Rows run side by side: the slowest of each part tells."""
    return Timing(
        queue_ms=max((finish.queue_ms for finish in finishes), default=0.0),
        prefill_ms=max((finish.prefill_ms for finish in finishes), default=0.0),
        decode_ms=max((finish.decode_ms for finish in finishes), default=0.0),
    )
