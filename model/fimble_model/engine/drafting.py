"""How a row's next tokens are guessed: by whom, how many, and whether it is tried at all.

Owns the wall around guessing: a fault there costs a row its drafts, not its answer.
"""

from __future__ import annotations

from fimble_model.engine.drafting_trial import DraftingTrial
from fimble_model.engine.faults import log_fault
from fimble_model.engine.pass_costs import PassCosts
from fimble_model.engine.protocol import Clock
from fimble_model.engine.row import Row
from fimble_model.engine.speculation import SpeculationPort

__all__ = ["Drafting"]


class Drafting:
    """Keeps the trial of whether drafts pay. `speculation` None guesses nothing."""

    def __init__(self, speculation: SpeculationPort | None, costs: PassCosts, clock: Clock) -> None:
        self.is_on = speculation is not None
        self._speculation = speculation
        self._costs = costs
        self._clock = clock
        self._trial = DraftingTrial()

    def draft(self, row: Row, n_room: int, least_probability: float) -> int:
        """Have a row guess what follows, in so much room; how many tokens it would have checked."""
        n_most = min(row.n_most_drafts, n_room)
        if self._speculation is None or n_most < 1:
            return 0
        if row.drafter is None and row.request.speculates is None:
            row.can_draft = self._trial.should_draft()
            if not row.can_draft:
                return 0
        try:
            drafter = row.drafter_of(self._speculation, self._costs.n_most_indexed)
            started_ms = self._clock.now_ms()
            row.drafts = drafter.propose(n_most, least_probability)[:n_most]
            self._costs.note_guesses(drafter.n_guesses, self._clock.now_ms() - started_ms)
        except Exception as error:  # noqa: BLE001  The engine's wall: see STYLE, errors.
            row.can_draft, row.drafter, row.drafts = False, None, []
            log_fault("row %s drafts no more: %s\n%s", row, error)
        return len(row.drafts)

    def note_end(self, row: Row, now_ms: float) -> None:
        """A row has ended: how quickly it decoded says whether drafts pay."""
        n_later = row.middle.n_tokens - max(row.n_first_tokens, 1)
        has_drafted = row.drafter is not None
        self._trial.note(has_drafted=has_drafted, n_tokens=n_later, ms=row.times.spans(now_ms)[2])
