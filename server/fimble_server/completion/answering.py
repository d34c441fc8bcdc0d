"""From what the engine gave to the answer: suggestions in the buffer's terms, and what they cost.

Owns the making of answers. Pure but for the numbers it gives to suggestions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from fimble_model.engine.memories import pays_for
from fimble_model.engine.protocol import Finish, FinishReason, ModelInfo
from fimble_server.completion.answer import (
    Answer,
    ContextPiece,
    Hidden,
    Suggestion,
    Timing,
    TokenCounts,
)
from fimble_server.completion.engine_port import Generation
from fimble_server.completion.page import Page
from fimble_server.completion.parts import Parts
from fimble_server.completion.plan import Plan
from fimble_server.completion.postprocess import Draft, process
from fimble_server.completion.snapshot import Snapshot
from fimble_server.completion.stream import Stream

__all__ = [
    "answer_by_stream",
    "answer_of",
    "empty_answer",
    "has_run_out_of_time",
    "is_worth_remembering",
]


def answer_of(
    generation: Generation, stream: Stream, *, without: Parts, new_id: Callable[[], str]
) -> Answer:
    """The answer to what the stream was asked."""
    page, plan = stream.page, stream.plan
    drafts = process(generation.finishes, page, plan, without)
    tokens = _count_tokens(generation.finishes)
    shown = () if stream.surrounded is None else stream.surrounded.pieces
    others = tuple(
        ContextPiece(source=piece.source, path=piece.path, n_tokens=n_tokens)
        for piece, n_tokens in shown
    )
    n_own_tokens = max(0, tokens.prompt - sum(piece.n_tokens for piece in others))
    own = ContextPiece(
        source="buffer",
        path=stream.snapshot.path,
        n_tokens=n_own_tokens,
        left_out=stream.left_out,
    )
    return Answer(
        plan=plan,
        suggestions=tuple(_suggestion_of(draft, page, new_id()) for draft in drafts.shown),
        hidden=drafts.hidden,
        source="model",
        tokens=tokens,
        timing=_time_of(generation.finishes),
        model=generation.model,
        context=(own, *others, *_remembered(stream.snapshot, generation.model)),
        steps=drafts.notes,
    )


def _remembered(snapshot: Snapshot, model: ModelInfo) -> Iterator[ContextPiece]:
    """What the project memory had at hand, the file looked at last last."""
    if snapshot.memory_scope is None or not pays_for(model.n_parameters):
        return
    if snapshot.project is not None and "project" not in snapshot.without_sources:
        yield _remembered_piece("project", snapshot.project.name)
    for buffer in snapshot.neighbours if "open-files" not in snapshot.without_sources else ():
        yield _remembered_piece("open-files", unquote(buffer.uri.partition("://")[2]))


def _remembered_piece(source: str, path: str) -> ContextPiece:
    return ContextPiece(source=source, path=path, n_tokens=0, is_remembered=True)


def answer_by_stream(reused: Answer, stream: Stream) -> Answer:
    """What was reused, said to come from the generation that the request waited for."""
    if stream.answer is None:
        return reused
    return dataclasses.replace(
        reused, source="stream", tokens=stream.answer.tokens, timing=stream.answer.timing
    )


def _suggestion_of(draft: Draft, page: Page, suggestion_id: str) -> Suggestion:
    """The draft in the buffer's own offsets and line ends."""
    return Suggestion(
        suggestion_id=suggestion_id,
        text=(page.selected + draft.text).replace("\n", page.line_break),
        start=page.buffer_start,
        end=page.buffer_cursor + draft.n_overwritten_chars,
        confidence=draft.confidence,
    )


def has_run_out_of_time(generation: Generation) -> bool:
    """True for a single row that had begun to write."""
    finishes = generation.finishes
    is_late = len(finishes) == 1 and finishes[0].reason is FinishReason.DEADLINE
    return is_late and bool(finishes[0].text)


def empty_answer(plan: Plan, model: ModelInfo | None) -> Answer:
    """Nothing is wanted here."""
    return Answer(
        plan=plan,
        suggestions=(),
        hidden=(Hidden(text="", reason=f"not wanted here ({plan.rule})", step="mode"),),
        source="none",
        tokens=TokenCounts(),
        timing=Timing(),
        model=model,
    )


def is_worth_remembering(answer: Answer, generation: Generation) -> bool:
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
