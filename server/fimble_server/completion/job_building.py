"""From a plan to the engine's job: the closure that lays out the prompt where the engine runs.

Owns an owner's last layout, and what a job that is ahead must not leave behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fimble_model.engine.protocol import ModelInfo, Request, TextCodec
from fimble_server.completion.engine_port import Job
from fimble_server.completion.left_out import LeftOut
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Plan
from fimble_server.completion.project_texts import gather_texts
from fimble_server.completion.prompt import (
    PromptLayout,
    build_requests,
    lay_out,
    plan_budget,
)
from fimble_server.completion.snapshot import Snapshot
from fimble_server.completion.surrounding import Surrounded, SurroundingsDesk

__all__ = ["PromptDesk", "job_for"]


# Called where the engine runs, before the job's rows are.
OnShown = Callable[[Surrounded | None, LeftOut], None]


@dataclass(slots=True)
class PromptDesk:
    """The last layout of one owner. Read and written where the engine runs, and only there."""

    layout: PromptLayout | None = None
    surroundings: SurroundingsDesk = field(default_factory=SurroundingsDesk)


def job_for(
    snapshot: Snapshot,
    page: Page,
    plan: Plan,
    desk: PromptDesk,
    *,
    is_ahead: bool,
    on_shown: OnShown | None = None,
) -> Job:
    """What is ahead leaves no trace: neither its text in the memory nor its window on the desk."""
    texts = gather_texts(snapshot, page)

    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        budget = plan_budget(model, plan)
        surrounded = desk.surroundings.choose(snapshot, page, codec, budget.n_surrounding_tokens)
        laid_out = lay_out(page, desk.layout, budget, codec, surrounded)
        if not is_ahead:
            desk.layout = laid_out.layout
        if on_shown is not None:
            on_shown(surrounded, laid_out.left_out)
        if texts is None:
            return build_requests(laid_out, plan, budget)
        return build_requests(
            laid_out, plan, budget, memory_scope=texts.scope, memory_key=texts.key
        )

    return Job(
        owner=f"{snapshot.owner} ahead" if is_ahead else snapshot.owner,
        client=snapshot.client,
        build=build,
        deadline_ms=plan.deadline_ms,
        texts=None if is_ahead else texts,
        is_ahead=is_ahead,
    )
